"""Logins for real: the driver, its HTTP calls and its listener against the simulated provider."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from services.chassis.listening import CannotListen, bind_tcp
from services.credentials.errors import LoginFailed
from services.credentials.login import LoggedIn, LoginOptions, NotOffered, Way
from services.credentials.oauth.caller import Caller
from services.simulator.app import Simulator
from tests.support.logins import OPTIONS, Person, caller, login, visit
from tests.support.simulated import TEST_SETTINGS, running_simulator


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(TEST_SETTINGS)


@pytest.fixture
async def origin(simulator: Simulator) -> AsyncIterator[str]:
    async with running_simulator(simulator) as address:
        yield address


@pytest.fixture
async def calls() -> AsyncIterator[Caller]:
    made = caller()
    yield made
    await made.aclose()


@asynccontextmanager
async def pending(
    origin: str, way: Way, calls: Caller, provider: str = "zai", options: LoginOptions = OPTIONS
) -> AsyncIterator[tuple[Person, "asyncio.Task[LoggedIn]"]]:
    """Begin a login; give the person, who was invited already, and what comes of it."""
    person = Person()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        work = group.create_task(login(origin, person, calls, provider, options).run(way))
        await asyncio.wait((work, person.invited), return_when=asyncio.FIRST_COMPLETED)
        yield person, work


async def finished(
    origin: str, way: Way, calls: Caller, provider: str = "zai", options: LoginOptions = OPTIONS
) -> LoggedIn:
    """Log in as a person would who does everything right."""
    async with pending(origin, way, calls, provider, options) as (person, work):
        end = await visit(person.invited.result())
        if way is Way.LOOPBACK:
            await visit(end)
        elif way is Way.PASTE:
            person.types(end)
    return work.result()


async def refused(origin: str, way: Way, calls: Caller) -> LoginFailed:
    """Log in at a provider that does not go along."""
    with pytest.raises(ExceptionGroup) as caught:
        await finished(origin, way, calls)
    (failure,) = caught.value.exceptions
    assert isinstance(failure, LoginFailed)
    return failure


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("provider", ["zai", "bigmodel"])
@pytest.mark.parametrize("code_name", ["code", "authCode"])
async def test_every_way_logs_in_at_every_provider(
    simulator: Simulator, origin: str, calls: Caller, way: Way, provider: str, code_name: str
) -> None:
    simulator.accounts.change({"approve": "visit", "code_name": code_name, "refresh": True, "expires_in": 3600})

    got = await finished(origin, way, calls, provider)

    assert got.secrets.api_key in simulator.accounts.issued_keys
    assert all((got.secrets.access_token, got.secrets.refresh_token, got.secrets.start_plan_jwt))
    assert (got.provider, got.user_id, got.expires_in, got.unresolved) == (provider, "user-simulated", 3600, None)


async def test_a_second_login_finds_the_key_of_the_first(origin: str, calls: Caller) -> None:
    first = await finished(origin, Way.LOOPBACK, calls)
    second = await finished(origin, Way.PASTE, calls)

    assert first.secrets.api_key == second.secrets.api_key
    assert first.secrets.access_token != second.secrets.access_token


async def test_poll_outlasts_trouble_that_passes(simulator: Simulator, origin: str, calls: Caller) -> None:
    simulator.accounts.change({"pending": 1, "faults": {"poll": ["drop", "status=500"]}})

    got = await finished(origin, Way.POLL, calls)

    assert got.secrets.api_key
    assert simulator.accounts.counts["poll"] == 4


async def test_a_provider_without_polling_says_so_and_nothing_else_does(
    simulator: Simulator, origin: str, calls: Caller
) -> None:
    simulator.accounts.change({"offered": False})
    assert isinstance(await refused(origin, Way.POLL, calls), NotOffered)

    simulator.accounts.change({"faults": {"token": ["status=404"], "customer": ["status=404"]}})
    assert not isinstance(await refused(origin, Way.LOOPBACK, calls), NotOffered)
    assert not isinstance(await refused(origin, Way.LOOPBACK, calls), NotOffered)


@pytest.mark.parametrize(
    ("way", "endpoint", "fault"),
    [
        (way, endpoint, fault)
        for way, endpoint in (
            (Way.POLL, "init"),
            (Way.LOOPBACK, "token"),
            (Way.PASTE, "login"),
            (Way.LOOPBACK, "customer"),
            (Way.PASTE, "create"),
            (Way.LOOPBACK, "copy"),
        )
        for fault in ("status=500", "status=429", "code=2007", "code=77", "html", "redirect", "empty", "large", "drop")
    ],
)
async def test_every_failure_of_every_call_is_a_plain_error(
    simulator: Simulator, origin: str, calls: Caller, way: Way, endpoint: str, fault: str
) -> None:
    simulator.accounts.change({"faults": {endpoint: [fault]}})

    words = str(await refused(origin, way, calls))

    assert "the provider" in words
    assert "\x1b" not in words
    assert "sim-" not in words


async def test_a_provider_that_hangs_is_given_up_on(simulator: Simulator, origin: str) -> None:
    simulator.accounts.change({"faults": {"init": ["hang"]}})
    quick = caller(total=0.2)
    try:
        assert "nothing within" in str(await refused(origin, Way.POLL, quick))
    finally:
        await quick.aclose()


async def test_nobody_listening_is_said_at_once(calls: Caller) -> None:
    taken = bind_tcp("127.0.0.1", 0)
    taken.close()

    failure = await refused("http://127.0.0.1:9", Way.POLL, calls)

    assert "could not be reached (no connection)" in str(failure)


async def test_a_person_who_refuses_ends_a_poll(simulator: Simulator, origin: str, calls: Caller) -> None:
    simulator.accounts.change({"approve": "deny"})

    assert "refused" in str(await refused(origin, Way.POLL, calls))


async def test_an_account_with_the_start_plan_only_is_worth_a_login_if_that_is_the_plan(
    simulator: Simulator, origin: str, calls: Caller
) -> None:
    simulator.accounts.change({"faults": {"customer": ["code=500", "code=500"]}})

    got = await finished(origin, Way.POLL, calls, options=msgspec.structs.replace(OPTIONS, key_required=False))

    assert (got.secrets.api_key, got.unresolved is not None) == (None, True)
    assert got.secrets.start_plan_jwt
    assert "looking up the account" in str(await refused(origin, Way.POLL, calls))


async def test_a_wrong_address_can_be_pasted_any_number_of_times(origin: str, calls: Caller) -> None:
    async with pending(origin, Way.PASTE, calls) as (person, work):
        end = await visit(person.invited.result())
        for line in ("", "nonsense", end.replace("state=", "state=0"), end.replace("zcode.z.ai", "evil.test")):
            person.types(line)
        person.types(end)

    assert work.result().secrets.api_key
    assert len(person.refusals) == 3


async def test_a_login_that_waits_for_a_paste_ends_with_its_input(origin: str, calls: Caller) -> None:
    """Shown to fail once by: waiting on, for minutes, in a pipe that is at its end."""
    with pytest.raises(ExceptionGroup) as caught:
        async with pending(origin, Way.PASTE, calls) as (person, _):
            person.leaves()

    assert "the input ended before an address was pasted" in str(caught.value.exceptions[0])


async def test_a_login_that_waits_for_the_browser_needs_no_input(origin: str, calls: Caller) -> None:
    async with pending(origin, Way.LOOPBACK, calls) as (person, work):
        person.leaves()
        await asyncio.sleep(0.05)
        await visit(await visit(person.invited.result()))

    assert work.result().secrets.api_key


async def test_what_the_listener_waits_for_can_be_pasted_too(origin: str, calls: Caller) -> None:
    async with pending(origin, Way.LOOPBACK, calls) as (person, work):
        person.types(await visit(person.invited.result()))

    assert work.result().secrets.api_key


async def test_an_empty_line_asks_for_another_way_than_the_listener(origin: str, calls: Caller) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with pending(origin, Way.LOOPBACK, calls) as (person, _):
            person.types("")

    assert isinstance(caught.value.exceptions[0], NotOffered)


async def test_a_callback_port_that_is_taken_is_named(origin: str, calls: Caller) -> None:
    taken = bind_tcp("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    try:
        with pytest.raises(CannotListen, match=str(port)):
            await login(origin, Person(), calls, options=msgspec.structs.replace(OPTIONS, callback_port=port)).run(
                Way.LOOPBACK
            )
    finally:
        taken.close()
