"""
What an upstream's error code means and what is done about it: upstream.md section 7 and translation.md A13.3 as data.

Rows are found by code and never by wording. Code 3012 alone has two meanings, told apart by its message.
`STATUS_TYPES` is A13.2: the error type of either dialect by HTTP status.
"""

from enum import Enum
from typing import Final

import msgspec

from services.gateway.translation.fault import Action


class Wait(Enum):
    """Where the seconds until a retry makes sense come from."""

    NONE = "none"
    TEXT = "text"  # a reset time in the message, UTC+8
    NEXT_DAY = "next_day"  # midnight, UTC+8


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One meaning. `status` is what an OpenAI client sees; `hint` tells the reader what to do next."""

    codes: tuple[int, ...]
    status: int
    action: Action
    code: str | None = None  # OpenAI `error.code`; None: the one of the status
    hint: str = ""
    lead: str = ""  # words that the message must begin with, because clients look for them
    anthropic_status: int | None = None
    openai_type: str | None = None
    should_retry: bool | None = None
    wait: Wait = Wait.NONE
    keeps_status: bool = False  # the upstream's own 4xx status wins over `status`


ROWS: Final = (
    Row(
        codes=(1000, 1001, 1002, 1003, 1004, 1005),
        status=401,
        action=Action.RENEW_CREDENTIAL,
        code="invalid_api_key",
        should_retry=False,
        hint="The plan's API key was not accepted: check that it is complete, current and of the configured provider.",
    ),
    Row(
        codes=(1110, 1111, 1112, 1120, 1121, 1220),
        status=403,
        action=Action.DISABLE_CREDENTIAL,
        code="permission_denied",
        hint="The account is inactive, locked or without permission: look at it on the provider's site.",
    ),
    Row(
        codes=(1113,),
        status=429,
        action=Action.DISABLE_CREDENTIAL,
        code="insufficient_quota",
        openai_type="insufficient_quota",
        anthropic_status=402,
        should_retry=False,
        hint=(
            "The usual cause is the wrong endpoint: a coding plan's key has no balance outside the coding endpoints, "
            "so check `provider` and the configured base addresses; otherwise the plan is unpaid or used up."
        ),
    ),
    Row(codes=(1210, 1212, 1213, 1214, 1215), status=400, action=Action.PASS),
    Row(
        codes=(1211, 1221, 1222),
        status=404,
        action=Action.PASS,
        code="model_not_found",
        hint="The upstream has no such model or API; GET /v1/models lists the known models.",
    ),
    Row(codes=(1200, 1230, 1234), status=502, action=Action.RETRY),
    Row(
        codes=(1261,),
        status=400,
        action=Action.PASS,
        code="context_length_exceeded",
        lead="prompt is too long",
    ),
    Row(codes=(1300, 1301), status=400, action=Action.PASS, code="content_filter"),
    Row(
        codes=(1302, 1303),
        status=429,
        action=Action.THROTTLE,
        hint="Too many requests at once for this key; fewer in parallel will pass.",
    ),
    Row(
        codes=(1304,),
        status=429,
        action=Action.COOL_CREDENTIAL,
        should_retry=False,
        wait=Wait.NEXT_DAY,
        hint="The day's calls are used up; the count starts again at midnight UTC+8.",
    ),
    Row(
        codes=(1305, 1312),
        status=503,
        action=Action.OVERLOAD,
        anthropic_status=529,
        hint="The model is overloaded for everyone; another key does not help, waiting or another model does.",
    ),
    Row(
        codes=(1308, 1310, 1316, 1317, 1318, 1319, 1320, 1321),
        status=429,
        action=Action.COOL_CREDENTIAL,
        should_retry=False,
        wait=Wait.TEXT,
        hint="The plan's limit for this period is used up; it opens again at the reset time.",
    ),
    Row(
        codes=(1309, 1314),
        status=429,
        action=Action.DISABLE_CREDENTIAL,
        code="insufficient_quota",
        openai_type="insufficient_quota",
        should_retry=False,
        hint="The plan has expired: renew it on the provider's site.",
    ),
    Row(
        codes=(1311,),
        status=429,
        action=Action.BLOCK_MODEL,
        code="model_not_in_plan",
        should_retry=False,
        hint="The plan does not include this model: choose another one.",
    ),
    Row(
        codes=(1313, 1315),
        status=429,
        action=Action.STOP,
        code="fair_use_restriction",
        should_retry=False,
        hint="The provider restricts this account under its fair-use terms; nothing is retried.",
    ),
    Row(
        codes=(3007,),
        status=403,
        action=Action.CAPTCHA,
        code="captcha_required",
        should_retry=False,
        hint="The provider asks the owner of the account for a captcha.",
    ),
)

SYSTEM_BLOCKS_MISSING: Final = Row(
    codes=(3012,),
    status=405,
    action=Action.CONFIGURATION,
    code="system_blocks_missing",
    should_retry=False,
    keeps_status=True,
    hint=(
        "The start plan inspects the system text: set `startPlan.systemBlocks` (or `startPlan.systemBlocksFile`) "
        "to the text that the provider's own client sends."
    ),
)
"""3012 with `method not allowed`."""

RISK_CONTROL: Final = Row(
    codes=(3012,),
    status=403,
    action=Action.STOP,
    code="account_under_risk_control",
    should_retry=False,
    keeps_status=True,
    hint="The account is under the provider's risk control, in its own client too; nothing is retried.",
)
"""3012 otherwise: `unusual activity`, and any text not yet seen, because stopping is the safe reading."""

START_PLAN_JWT_INVALID: Final = Row(
    codes=(),
    status=401,
    action=Action.RENEW_CREDENTIAL,
    code="start_plan_jwt_invalid",
    should_retry=False,
    hint=(
        "The start plan's token was not accepted: log in again with `zcode-proxy auth login`, or renew `startPlan.jwt` "
        "where that is set."
    ),
)
"""An empty 401 on start-plan."""

ROW_BY_CODE: Final = {code: row for row in ROWS for code in row.codes}


class Types(msgspec.Struct, frozen=True):
    """The words for one HTTP status in either dialect."""

    anthropic: str
    openai: str
    openai_code: str | None = None


_INVALID = "invalid_request_error"

STATUS_TYPES: Final = {
    400: Types(_INVALID, _INVALID),
    401: Types("authentication_error", _INVALID, "invalid_api_key"),
    402: Types("billing_error", "insufficient_quota", "insufficient_quota"),
    403: Types("permission_error", _INVALID, "permission_denied"),
    404: Types("not_found_error", _INVALID, "model_not_found"),
    408: Types("timeout_error", "server_error", "timeout"),
    413: Types("request_too_large", _INVALID),
    429: Types("rate_limit_error", "rate_limit_error", "rate_limit_exceeded"),
    504: Types("timeout_error", "server_error", "timeout"),
    529: Types("overloaded_error", "server_error"),
}


def types_of(status: int) -> Types:
    """Return the words for a status; those without a row are the client's doing below 500 and the server's above."""
    found = STATUS_TYPES.get(status)
    if found is not None:
        return found
    return STATUS_TYPES[400] if 400 <= status < 500 else Types("api_error", "server_error")


STATUS_BY_WORD: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "insufficient_quota": 402,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 504,
    "timeout": 504,
    "api_error": 502,
    "server_error": 502,
    "overloaded_error": 529,
}
"""The dialects' own words for an error that came without a status: under HTTP 200 or in a stream."""

ACTION_BY_STATUS: Final = {
    401: Action.RENEW_CREDENTIAL,
    408: Action.RETRY,
    425: Action.RETRY,
    429: Action.THROTTLE,
    529: Action.OVERLOAD,
}
"""What is done about a bare status; 5xx are retried, other 4xx passed."""
