"""What went wrong, in no dialect: the one description from which every error body and error event is written."""

from enum import Enum

import msgspec


class Action(Enum):
    """What the exchange does about an upstream fault, upstream.md section 7."""

    PASS = "pass"  # noqa: S105  # no password: the client's own doing: show it, do not retry
    RETRY = "retry"  # server or network trouble: back off and retry before the first byte
    RENEW_CREDENTIAL = "renew_credential"  # re-resolve once, retry once, then the next own credential
    DISABLE_CREDENTIAL = "disable_credential"  # until a person acts
    COOL_CREDENTIAL = "cool_credential"  # until `Fault.retry_after`; the next own credential may serve
    BLOCK_MODEL = "block_model"  # this credential does not have this model
    THROTTLE = "throttle"  # shrink this key's concurrency, short jittered retry
    OVERLOAD = "overload"  # the model is overloaded for everyone: back off, no other credential
    STOP = "stop"  # fair use or risk control: no retry, no failover, alert
    CAPTCHA = "captcha"  # a captcha token is wanted
    CONFIGURATION = "configuration"  # the operator's setting is wrong; the message names it


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One failure. `message` is safe to show to the client; nothing here holds a secret or a prompt."""

    status: int  # HTTP status for an OpenAI client; `anthropic_status` where the dialects differ
    message: str
    anthropic_status: int | None = None
    code: str | None = None  # OpenAI `error.code`; a stable word
    openai_type: str | None = None  # None: derived from the status (translation.md A13.2)
    anthropic_type: str | None = None  # None: derived from the status
    param: str | None = None  # the field at fault, as a path such as messages.3.content.0
    retry_after: float | None = None  # seconds
    resets_at: float | None = None  # seconds since the epoch, of a limit that names its end
    should_retry: bool | None = None  # becomes x-should-retry
    upstream_status: int | None = None
    upstream_code: str | None = None
    action: Action = Action.PASS
