"""
Faults of our own making: one small constructor each, with a message that says what to do next.

Upstream errors are read by `errors.read_fault`; what a transport raises becomes one of these in `exchange`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from services.gateway.translation.fault import Action, Fault
from services.gateway.wire.formats import WireFormat

_SERVED: Final = (
    "POST /v1/chat/completions, POST /v1/responses, POST /v1/messages, POST /v1/messages/count_tokens, GET /v1/models, "
    "GET /v1/models/{id} and GET /health"
)
_KNOWN_ELSEWHERE: Final = (
    "/v1/messages/batches",
    "/v1/files",
    "/v1/complete",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/images",
    "/v1/audio",
    "/v1/moderations",
)
_CAPTCHA_LATER: Final = 10.0  # seconds after which a person may have come
_ENDINGS: Final = ("/messages/count_tokens", "/chat/completions", "/responses", "/messages", "/models")
_RESPONSES: Final = "/v1/responses/"


def unauthenticated(message: str) -> Fault:
    """401: no client key, a wrong one, or two that differ."""
    return Fault(status=401, message=message, code="invalid_api_key", should_retry=False)


def not_found_route(path: str) -> Fault:
    """404: no such route; names the right one where the path shows what was meant."""
    meant = next((f"/v1{ending}" for ending in _ENDINGS if path.rstrip("/").endswith(ending)), None)
    if path.startswith(_RESPONSES) and path != _RESPONSES:
        message = (
            f"There is no {path}: no response is stored, compacted or counted here. Send the whole conversation in "
            "`input` of POST /v1/responses, with `stream` to follow it."
        )
    elif path.startswith(_KNOWN_ELSEWHERE):
        message = f"{path} is not supported by this gateway; it serves {_SERVED}."
    elif meant is not None and meant != path:
        message = (
            f"There is no {path}; did you mean {meant}? The base URL may hold one path segment too many or too few."
        )
    else:
        message = f"There is no {path}; this gateway serves {_SERVED}."
    return Fault(status=404, message=message, code="unknown_url")


def not_found_model(model: str, known: Sequence[str]) -> Fault:
    """404 of the listing; `known` are the ids to suggest."""
    hint = f"; known are {', '.join(known)}" if known else ""
    return Fault(status=404, message=f"The model `{model}` is not listed{hint}.", code="model_not_found", param="model")


def model_not_allowed(model: str) -> Fault:
    """403: the client key's list of models does not hold this one."""
    return Fault(
        status=403,
        message=f"This client key may not use the model `{model}`: choose one of its own, or ask the key's owner.",
        code="model_not_allowed",
        param="model",
        should_retry=False,
    )


def method_not_allowed(method: str, path: str, allowed: Sequence[str]) -> Fault:
    """405; the caller adds the `allow` header."""
    return Fault(
        status=405,
        message=f"{path} does not take {method}; use {' or '.join(allowed)}.",
        code="method_not_allowed",
    )


def bad_request(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> Fault:
    """400 or another 4xx: the client's body or headers."""
    return Fault(status=status, message=message, param=param, code=code)


def too_large(limit: int | None = None) -> Fault:
    """413: the request body is above `limit` bytes."""
    size = "the limit" if limit is None else f"{limit} bytes"
    return Fault(
        status=413,
        message=f"The request body is larger than {size}; shorten the conversation or raise the limit `limits.body`.",
        code="request_too_large",
        should_retry=False,
    )


def unsupported_encoding(coding: str) -> Fault:
    """415: a request body with a content-encoding."""
    return Fault(
        status=415,
        message=f"A request body with content-encoding `{coding[:40]}` is not read here; send it uncompressed.",
        code="unsupported_content_encoding",
    )


def overloaded(retry_after: float, message: str = "") -> Fault:
    """429: our own limits; `retry_after` in seconds."""
    return Fault(
        status=429,
        message=message or "Too many requests are waiting at this gateway; try again shortly or send fewer at once.",
        code="gateway_overloaded",
        retry_after=retry_after,
        should_retry=True,
        action=Action.THROTTLE,
    )


def resting(retry_after: float, model: str = "") -> Fault:
    """503, or 529 for Anthropic clients: the upstream keeps failing, or its model is overloaded, and is left alone."""
    what = f"The model `{model}` is overloaded for everyone" if model else "The upstream keeps failing"
    return Fault(
        status=503,
        anthropic_status=529,
        message=f"{what}, so it is not called for a while; try again in {retry_after:.0f} s"
        + (", or use another model." if model else "."),
        code="upstream_resting",
        retry_after=retry_after,
        should_retry=True,
        action=Action.OVERLOAD,
    )


def draining(retry_after: float) -> Fault:
    """503: this process is about to stop; another one, or the next, will serve."""
    return Fault(
        status=503,
        anthropic_status=529,
        message="This gateway is shutting down; try again.",
        code="gateway_draining",
        retry_after=retry_after,
        should_retry=True,
    )


def misconfigured(message: str, code: str = "gateway_misconfigured", status: int = 500) -> Fault:
    """500: only the operator can help; the message names the setting or the command."""
    return Fault(status=status, message=message, code=code, should_retry=False, action=Action.CONFIGURATION)


def internal(request_id: str) -> Fault:
    """500: a defect of the gateway."""
    return Fault(
        status=500,
        message=f"The gateway failed on this request; its log has the cause under request id {request_id}.",
        code="internal_error",
    )


def unreachable(message: str, status: int = 502) -> Fault:
    """502, or 503 when no connection slot was free: the upstream could not be asked, or broke off."""
    return Fault(status=status, message=message, code="upstream_unreachable", action=Action.RETRY)


def timeout(message: str) -> Fault:
    """504: the upstream took too long. Its outcome is unknown, so this is never retried by us."""
    return Fault(status=504, message=message, code="timeout")


def captcha_required(page: str | None, challenge: Fault | None = None) -> Fault:
    """403: a person must complete a captcha; `page` is where, `challenge` what the upstream said."""
    then = "then send the request again"
    if page is not None:
        message = f"The provider asks the owner of the account for a captcha: complete one on {page}, {then}."
    else:
        message = (
            "The provider asks the owner of the account for a captcha, and this gateway has no captcha service: run "
            "`zcode-proxy serve`, or `zcode-proxy captcha` and set `captcha.address`."
        )
    return Fault(
        status=403,
        message=message,
        code="captcha_required",
        should_retry=False,
        upstream_status=None if challenge is None else challenge.upstream_status,
        upstream_code=None if challenge is None else challenge.upstream_code,
        action=Action.CAPTCHA,
    )


def captcha_queue_full() -> Fault:
    """503: so many requests wait for a person that one more would wait in vain."""
    return Fault(
        status=503,
        anthropic_status=529,
        message="Too many requests wait for the owner of the account to complete a captcha; try again later.",
        code="captcha_queue_full",
        retry_after=_CAPTCHA_LATER,
        should_retry=True,
    )


def captcha_unavailable() -> Fault:
    """503: the captcha service does not answer, and the request cannot go without it."""
    return Fault(
        status=503,
        message="The captcha service does not answer: look whether it runs and what `captcha.address` says.",
        code="captcha_unavailable",
        retry_after=_CAPTCHA_LATER,
        should_retry=True,
    )


def start_plan_jwt_invalid(reason: str) -> Fault:
    """401: nobody is logged in to the start plan, or not any more; `reason` is safe to show."""
    advice = "log in with `zcode-proxy auth login`, or set `startPlan.jwt` (ZCODE_START_PLAN_JWT)"
    return Fault(
        status=401,
        message=f"The start plan has no token that is good ({reason}): {advice}.",
        code="start_plan_jwt_invalid",
        should_retry=False,
        action=Action.CONFIGURATION,
    )


def route_gone(refusal: Fault, spoken: WireFormat, *, both: bool) -> Fault:
    """404 of the upstream on a start-plan route, with what to do about it; `both`: the other format's is gone too."""
    advice = (
        "neither format is served there: check `startPlan.base`"
        if both
        else "set `startPlan.upstreamFormat` to auto or to the other format"
    )
    return msgspec.structs.replace(
        refusal,
        message=f"The start plan's {spoken.value} route does not exist at the provider (HTTP 404); {advice}.",
        code="start_plan_route_gone",
        should_retry=False,
        action=Action.CONFIGURATION,
    )
