"""
A failure as a client of the Responses API has to be told, so that an agent does what there is to do.

Codex 0.171 shows the text of no 429; it sleeps through a `retry-after` of hours without a word, and gives a 429 without
one up at once. It knows words of its own for a used-up plan and a busy model. Everything else is the other dialect's.

| fault                                      | becomes                                                            |
|--------------------------------------------|--------------------------------------------------------------------|
| 429 that waiting mends, without a time     | the same with a short `retry-after`                                |
| 429 of a used-up window of the plan        | type `usage_limit_reached`, with `resets_at`                       |
| 429 that waiting does not mend, no quota   | 400: shown as it is, not tried again                               |
| 503 of a model that is busy for everyone   | code `server_is_overloaded`                                        |
"""

from typing import Final

import msgspec

from services.gateway.translation.fault import Action, Fault

_SOON: Final = 5.0  # seconds
_NO_QUOTA: Final = "insufficient_quota"  # known to clients, and final


def for_responses(fault: Fault) -> Fault:
    """Return the failure in the words of this API."""
    if fault.status == 503 and fault.action is Action.OVERLOAD and fault.code is None:
        return msgspec.structs.replace(fault, code="server_is_overloaded")
    if fault.status != 429:
        return fault
    if fault.should_retry is not False:
        return fault if fault.retry_after is not None else msgspec.structs.replace(fault, retry_after=_SOON)
    if fault.retry_after is not None:
        return msgspec.structs.replace(fault, openai_type="usage_limit_reached")
    if fault.code == _NO_QUOTA:
        return fault
    return msgspec.structs.replace(fault, status=400, openai_type="invalid_request_error")
