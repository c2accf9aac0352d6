"""
What other processes may know of the captcha service: structs, paths, error codes. With `client.py` its only face.

Before each try on the start plan the gateway asks for what to send: the account's JWT, and a captcha token when one is
wanted. A token comes from a person, so the answer may take as long as the caller is ready to wait. After the try it
says how it ended, so that the next request is asked the right thing.
"""

from enum import Enum
from typing import Final, Literal

import msgspec

TOKEN_PATH: Final = "/v1/start-plan/token"  # noqa: S105 -- a path. POST TokenRequest -> TokenAnswer
REPORT_PATH: Final = "/v1/start-plan/reports"  # POST Report -> nothing, 204
STATE_PATH: Final = "/v1/start-plan/state"  # GET ?provider=… -> BankState; for people who look
LONGEST_WAIT: Final = 300.0  # seconds; a longer wish is cut to it
WORKING_SECONDS: Final = 600.0  # a format that worked in the place of another is remembered so long (upstream.md 1)


WorkingFormat = Literal["anthropic", "openai"]  # in which a start-plan route is spoken to


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one try needs. The same `request_id` and `attempt` always get the same captcha token, for a minute."""

    request_id: str  # 1 to 128 printable ASCII characters without blanks
    provider: str
    challenged: bool = False  # the upstream has just asked this very request for a captcha
    wait: float = 0.0  # seconds this try may wait for a person, all in all; 0: take what is there or fail
    attempt: int = 0  # counts the tries of one request: each needs a fresh token


class Captcha(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The two header values of one try."""

    param: str  # secret, single use; becomes a chassis Secret on arrival
    region: str


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What to send upstream."""

    jwt: str  # secret; becomes a chassis Secret on arrival
    credential_id: str
    version: int  # of the credential's record
    jwt_issued_at: float | None = None  # seconds since the epoch; None where the JWT does not say
    user_id: str | None = None
    captcha: Captcha | None = None  # None: send no captcha headers
    expires_at: float | None = None  # of the captcha token, seconds since the epoch; send it before
    # What a gateway reported last, for as many seconds: replicas share it here, because each try asks here anyway.
    working_format: WorkingFormat | None = None
    working_seconds: float = 0.0


class Outcome(Enum):
    """How a try ended, as far as it matters here."""

    ACCEPTED = "accepted"  # the upstream served it, with or without a token
    CHALLENGED = "challenged"  # it went without a token and the upstream wants one
    CAPTCHA_REFUSED = "captcha_refused"  # it went with a token and was challenged all the same
    JWT_REFUSED = "jwt_refused"  # 401: a person must log in again


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One try's end; ids and version as in the answer to its request."""

    request_id: str
    provider: str
    credential_id: str
    version: int
    outcome: Outcome
    attempt: int = 0
    # With ACCEPTED: the other format's route is gone and this one works; to be handed out for WORKING_SECONDS.
    working_format: WorkingFormat | None = None


class BankState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How one provider's account stands; seconds."""

    account: str | None  # None: nobody is logged in
    asks: bool  # the provider's configuration asks for tokens
    config_source: str  # provider | last | settings | nothing
    lives: tuple[float, ...]  # what is left of each banked token
    waiting: int
    waited: float  # by the one at the head of the line
    refused: int  # tokens in a row
    jwt_issued_at: float | None = None  # seconds since the epoch


class ErrorCode(Enum):
    """`code` of a problem document from this service."""

    START_PLAN_JWT_INVALID = "start_plan_jwt_invalid"  # nobody is logged in, or the JWT was refused
    CAPTCHA_REQUIRED = "captcha_required"  # nobody completed a captcha in time; `page` says where to do it
    CAPTCHA_QUEUE_FULL = "captcha_queue_full"  # too many requests wait for a person already
    CAPTCHA_UNAVAILABLE = "captcha_unavailable"  # the service or its store does not answer
    NOT_AUTHENTICATED = "not_authenticated"
    REPLAYED = "replayed"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
