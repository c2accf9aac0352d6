"""Refreshes for real: what the broker calls, against a provider that rotates tokens with grace and without."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.credentials.login import LoggedIn, Way
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.provider import OAuthProvider
from services.credentials.oauth.vendors import VENDORS
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    ProviderFailure,
    RefreshMode,
    TokenProvider,
    TransientFailure,
)
from services.simulator.app import Simulator
from tests.support.logins import Person, addresses, caller, login
from tests.support.simulated import TEST_SETTINGS, running_simulator


class World:
    """A simulator, somebody who is logged in there, and the broker's port to it."""

    def __init__(self, simulator: Simulator, origin: str, calls: Caller) -> None:
        self.accounts = simulator.accounts
        self.origin = origin
        self.calls = calls
        self.provider: TokenProvider = self.within(10.0)

    def within(self, seconds: float) -> OAuthProvider:
        return OAuthProvider(VENDORS["zai"], addresses(self.origin), self.calls, seconds=seconds)

    async def log_in(self) -> LoggedIn:
        return await login(self.origin, Person(), self.calls).run(Way.POLL)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    simulator = Simulator(TEST_SETTINGS)
    simulator.accounts.change({"refresh": True, "expires_in": 60})
    calls = caller()
    async with running_simulator(simulator) as origin:
        yield World(simulator, origin, calls)
        await calls.aclose()


async def test_a_refresh_token_rotates_and_the_key_stays(world: World) -> None:
    got = await world.log_in()

    fresh = await world.provider.refresh(got.secrets, RefreshMode.ROTATE)

    assert fresh.secrets.refresh_token != got.secrets.refresh_token
    assert fresh.secrets.access_token != got.secrets.access_token
    assert (fresh.secrets.api_key, fresh.expires_in) == (got.secrets.api_key, 60)
    assert (await world.provider.refresh(fresh.secrets, RefreshMode.ROTATE)).secrets.api_key == got.secrets.api_key


async def test_a_used_refresh_token_ends_the_login_where_there_is_no_grace(world: World) -> None:
    got = await world.log_in()
    fresh = await world.provider.refresh(got.secrets, RefreshMode.ROTATE)

    with pytest.raises(InvalidGrant):
        await world.provider.refresh(got.secrets, RefreshMode.ROTATE)
    with pytest.raises(InvalidGrant):
        await world.provider.refresh(fresh.secrets, RefreshMode.ROTATE)
    assert world.accounts.counts["families_ended"] == 1


async def test_with_grace_an_answer_that_was_lost_comes_again(world: World) -> None:
    world.accounts.change({"grace": 30})
    got = await world.log_in()
    world.accounts.change({"faults": {"token": ["late"]}})

    with pytest.raises(OutcomeUnknown):
        await world.provider.refresh(got.secrets, RefreshMode.ROTATE)
    fresh = await world.provider.refresh(got.secrets, RefreshMode.ROTATE)

    assert world.accounts.counts["graced"] == 1
    assert (await world.provider.refresh(fresh.secrets, RefreshMode.ROTATE)).secrets.refresh_token


async def test_a_revoked_key_is_resolved_anew_with_the_access_token(world: World) -> None:
    got = await world.log_in()
    world.accounts.revoke_keys()

    fresh = await world.provider.refresh(got.secrets, RefreshMode.RESOLVE)

    assert fresh.secrets.api_key in world.accounts.issued_keys
    assert fresh.secrets.access_token == got.secrets.access_token


@pytest.mark.parametrize("mode", [RefreshMode.ROTATE, RefreshMode.RESOLVE])
async def test_a_login_that_was_ended_says_so(world: World, mode: RefreshMode) -> None:
    got = await world.log_in()
    world.accounts.end_logins()

    with pytest.raises(InvalidGrant):
        await world.provider.refresh(got.secrets, mode)


@pytest.mark.parametrize(
    ("fault", "rotating", "resolving"),
    [
        ("status=500", OutcomeUnknown, TransientFailure),
        ("status=503", TransientFailure, TransientFailure),
        ("status=429", TransientFailure, TransientFailure),
        ("html", OutcomeUnknown, TransientFailure),
        ("redirect", OutcomeUnknown, TransientFailure),
        ("large", OutcomeUnknown, TransientFailure),
        ("drop", OutcomeUnknown, TransientFailure),
        ("late", OutcomeUnknown, TransientFailure),
        ("hang", OutcomeUnknown, TransientFailure),
        ("status=401", InvalidGrant, InvalidGrant),
        ("code=2007", InvalidGrant, InvalidGrant),
        ("code=77", TransientFailure, TransientFailure),
    ],
)
async def test_every_failure_is_the_kind_it_must_be(
    world: World, fault: str, rotating: type[ProviderFailure], resolving: type[ProviderFailure]
) -> None:
    got = await world.log_in()
    for mode, endpoint, kind in (
        (RefreshMode.RESOLVE, "login", resolving),
        (RefreshMode.ROTATE, "token", rotating),
    ):
        world.accounts.change({"faults": {endpoint: [fault]}})
        with pytest.raises(ProviderFailure) as caught:
            await world.within(0.5).refresh(got.secrets, mode)
        assert type(caught.value) is kind
        assert "sim-" not in str(caught.value)


async def test_nobody_listening_has_done_nothing(world: World) -> None:
    got = await world.log_in()
    away = OAuthProvider(VENDORS["zai"], addresses("http://127.0.0.1:9"), world.calls)

    with pytest.raises(TransientFailure):
        await away.refresh(got.secrets, RefreshMode.ROTATE)


async def test_time_that_runs_out_after_the_tokens_came_costs_the_key_and_not_the_tokens(world: World) -> None:
    got = await world.log_in()
    world.accounts.change({"faults": {"login": ["hang"]}})

    async with asyncio.timeout(5):
        fresh = await world.within(1.0).refresh(got.secrets, RefreshMode.ROTATE)

    assert fresh.secrets.refresh_token != got.secrets.refresh_token
    assert fresh.secrets.api_key == got.secrets.api_key
