import msgspec
import pytest

from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.responses_faults import for_responses


def fault(status: int = 429, **fields: object) -> Fault:
    return msgspec.convert({"status": status, "message": "m", **fields}, Fault)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (fault(), {"retry_after": 5.0}),
        (fault(should_retry=True), {"retry_after": 5.0}),
        (fault(retry_after=2.0), {}),
        (fault(should_retry=False, retry_after=7200.0), {"openai_type": "usage_limit_reached"}),
        (fault(should_retry=False, code="insufficient_quota"), {}),
        (
            fault(should_retry=False, code="fair_use_restriction"),
            {"status": 400, "openai_type": "invalid_request_error"},
        ),
        (Fault(status=503, message="m", action=Action.OVERLOAD), {"code": "server_is_overloaded"}),
        (Fault(status=503, message="m", action=Action.OVERLOAD, code="upstream_resting"), {}),
        (Fault(status=503, message="m"), {}),
        (fault(500), {}),
        (fault(401, should_retry=False), {}),
    ],
)
def test_what_a_responses_client_is_told(given: Fault, told: dict[str, object]) -> None:
    assert for_responses(given) == msgspec.structs.replace(given, **told)
