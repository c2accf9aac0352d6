"""What leaves the service."""

import msgspec
import pytest

from services.credentials.contract import ClientKey, Kind, Lease, Plan, Snapshot, State
from services.credentials.leases import KnownKeys, assemble, leases_of
from services.credentials.records import Credential, Secrets, Standing

NOW = 1000.0
RECORD = Credential(
    id="crd_a",
    provider="zai",
    kind=Kind.OAUTH,
    label="mine",
    secrets=Secrets(api_key="key", access_token="at", refresh_token="rt", start_plan_jwt="jwt"),
    user_id="u",
    created_at=0.0,
    rotated_at=0.0,
    expires_at=5000.0,
    blocked_models=("glm-x",),
    version=4,
)


def by_plan(**changes: object) -> dict[Plan, Lease]:
    return {lease.plan: lease for lease in leases_of(msgspec.structs.replace(RECORD, **changes), NOW)}


def test_a_login_gives_a_lease_per_plan() -> None:
    leases = by_plan()

    assert {plan: lease.secret for plan, lease in leases.items()} == {Plan.CODING: "key", Plan.START: "jwt"}
    for lease in leases.values():
        assert (lease.credential_id, lease.version, lease.user_id, lease.expires_at) == ("crd_a", 4, "u", 5000.0)
        assert (lease.state, lease.blocked_models) == (State.READY, ("glm-x",))


@pytest.mark.promise("P-28")
def test_no_refresh_token_and_no_access_token_ever_leaves() -> None:
    secrets = Secrets(api_key="key", access_token="canary-at", refresh_token="canary-rt", start_plan_jwt="jwt")
    snapshot = assemble(1, [msgspec.structs.replace(RECORD, secrets=secrets)], KnownKeys(), NOW)

    assert b"canary" not in msgspec.json.encode(snapshot)


def test_what_is_not_held_is_not_leased() -> None:
    assert by_plan(secrets=Secrets(refresh_token="rt")) == {}


@pytest.mark.parametrize("state", [State.LOGIN_REQUIRED, State.DISABLED])
def test_what_stops_the_account_stops_both_plans(state: State) -> None:
    assert {lease.state for lease in by_plan(state=state).values()} == {state}


def test_a_plans_limit_is_its_own() -> None:
    cooling = by_plan(state=State.COOLING, usable_at=NOW + 1)
    other = by_plan(start_plan=Standing(state=State.COOLING, usable_at=NOW + 1))

    assert [cooling[plan].state for plan in Plan] == [State.COOLING, State.READY]
    assert [other[plan].state for plan in Plan] == [State.READY, State.COOLING]


def test_cooling_that_is_over_is_ready() -> None:
    lease = by_plan(state=State.COOLING, usable_at=NOW)[Plan.CODING]

    assert (lease.state, lease.usable_at) == (State.READY, None)


def test_a_snapshot_carries_the_clients_keys() -> None:
    key = ClientKey(id="k", macs=("m",))

    assert assemble(7, [], KnownKeys(keys=(key,), pepper="p"), NOW) == Snapshot(
        generation=7, client_keys=(key,), pepper="p"
    )
