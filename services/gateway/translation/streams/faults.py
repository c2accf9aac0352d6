"""
The faults that a stream itself shows; those that an upstream names are read by `translation.errors`.

None is retried here: the upstream has acted on the request, and a second try would cost the quota twice. Clients may.
"""

from typing import Final

from services.gateway.translation.fault import Fault


def _broken(message: str, code: str) -> Fault:
    return Fault(status=502, message=message, code=code, anthropic_type="api_error")


NO_DATA: Final = _broken("upstream closed the stream without data", "upstream_empty")
TRUNCATED: Final = _broken("upstream closed the stream before the answer was complete", "upstream_truncated")
NOT_JSON: Final = _broken("upstream sent an event that cannot be read", "upstream_invalid")
BODY_NOT_JSON: Final = _broken("upstream sent an answer that cannot be read", "upstream_invalid")
TOO_LARGE: Final = _broken("upstream sent an event that is larger than the limit", "upstream_too_large")
NO_CHOICES: Final = _broken("upstream returned no choices", "upstream_no_choices")
UNNAMED_TOOL: Final = _broken("upstream produced an unnamed tool call", "upstream_unnamed_tool")
CODING: Final = _broken("upstream sent an answer in a content coding that was not asked for", "upstream_invalid")
INFERENCE: Final = _broken("upstream inference error", "upstream_inference")
