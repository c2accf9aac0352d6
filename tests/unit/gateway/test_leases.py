"""What the upstream is called with, as far as the configuration says it."""

import pytest

from services.chassis.secret import Secret
from services.gateway.errors import Misconfigured
from services.gateway.leases import ConfiguredLeases
from services.gateway.providers import routes_of
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.wire.formats import WireFormat


def _route(plan: Plan) -> UpstreamRoute:
    return routes_of("zai", plan, {WireFormat.OPENAI: "https://up.example"})[WireFormat.OPENAI]


@pytest.mark.parametrize("plan", list(Plan))
def test_the_configured_key_serves_every_route(plan: Plan) -> None:
    lease = ConfiguredLeases(Secret("id.secret")).current(_route(plan))

    assert ("config", Secret("id.secret"), None) == (lease.credential_id, lease.secret, lease.user_id)


@pytest.mark.parametrize(
    ("plan", "code", "names"),
    [
        (Plan.CODING, "upstream_key_missing", ("auth.apiKey", "ZCODE_API_KEY")),
        (Plan.START, "start_plan_token_missing", ("startPlan.jwt", "ZCODE_START_PLAN_JWT")),
    ],
)
def test_without_one_the_operator_is_told_the_setting(plan: Plan, code: str, names: tuple[str, ...]) -> None:
    with pytest.raises(Misconfigured) as refusal:
        ConfiguredLeases(None).current(_route(plan))

    fault = refusal.value.fault
    assert (500, code, False) == (fault.status, fault.code, fault.should_retry)
    assert all(name in fault.message for name in names)
