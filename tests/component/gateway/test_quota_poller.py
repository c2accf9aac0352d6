"""One gateway asks for all, at most once a minute, and what it hears is shown by every one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.secret import Secret
from services.chassis.storage import StoreUnavailable
from services.gateway.books.memory import MemoryBooks, Shelf
from services.gateway.books.sqlite import SqliteBooks
from services.gateway.quota_poller import Account, QuotaClient, QuotaPoller
from services.gateway.routing import Plan, address
from services.gateway.upstream.factory import make_transport
from services.simulator.allowance import BALANCE_PATH, LIMITS_PATH, Allowance
from services.simulator.app import Simulator
from tests.support.clock import ManualClock
from tests.support.simulated import TEST_SETTINGS, running_simulator

SECRET = Secret("an-upstream-key-that-must-not-show.secret")


class _Town:
    """A simulator, and gateways that share books."""

    def __init__(
        self, simulator: Simulator, origin: str, make: Callable[[Plan, MemoryBooks | None], QuotaPoller]
    ) -> None:
        self.simulator = simulator
        self.origin = origin
        self.gateway = make
        self.clock = ManualClock()
        self.shelf = Shelf(self.clock)
        self.registry = CollectorRegistry()

    def asked(self, path: str = LIMITS_PATH) -> list[tuple[str | None, str | None]]:
        """Return authorization and device id of every question."""
        found = []
        for request in self.simulator.records.requests:
            if request.path == path:
                heads = [request.header(name) for name in (b"authorization", b"x-device-mid")]
                found.append(tuple(None if head is None else head.decode() for head in heads))
        return found  # type: ignore[return-value]  # pairs

    def value(self, name: str, **labels: str) -> float | None:
        plan = {"provider": "zai", "plan": "coding-plan", "credential": "crd_1"}
        return self.registry.get_sample_value(
            name, labels if "outcome" in labels or "balance" in labels else plan | labels
        )


@asynccontextmanager
async def _town() -> AsyncIterator[_Town]:
    simulator = Simulator(TEST_SETTINGS)
    async with contextlib.AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_simulator(simulator))

        def make(plan: Plan = Plan.CODING, books: MemoryBooks | None = None) -> QuotaPoller:
            transport = make_transport("pooled", None, None, 2)
            stack.push_async_callback(transport.aclose)
            base = f"{origin}/api/v1/zcode-plan" if plan is Plan.START else origin
            place, prefix = address(base, "")
            account = Account(
                provider="zai",
                plan=plan,
                credential="crd_1",
                secret=SECRET,
                origin=place,
                prefix=prefix if plan is Plan.START else b"",
            )
            client = QuotaClient(transport, ((b"user-agent", b"ZCode/9"),), app_version="9", platform="linux-x64")
            registry = town.registry if not made else CollectorRegistry()
            made.append(registry)
            books = books or MemoryBooks(town.shelf)
            return QuotaPoller(books, lambda: [account], client, registry, every=1, clock=town.clock)

        made: list[CollectorRegistry] = []
        town = _Town(simulator, origin, make)
        yield town


async def test_the_plan_is_asked_with_the_bare_key_and_shown() -> None:
    async with _town() as town:
        town.simulator.allowance.allowance = Allowance(five_hours=25, weekly=90)
        await town.gateway(Plan.CODING, None).look()

        assert [(SECRET.reveal(), None)] == town.asked()
        assert 0.25 == town.value("zcode_quota_used_ratio", window="five_hours")
        assert 0.9 == town.value("zcode_quota_used_ratio", window="weekly")
        assert (town.value("zcode_quota_reset_timestamp_seconds", window="weekly") or 0) > 1e9
        assert town.clock.now() == town.value("zcode_quota_read_timestamp_seconds")
        assert 1 == town.value("zcode_quota_polls_total", outcome="answered")


async def test_many_gateways_ask_once_a_minute_and_all_know() -> None:
    async with _town() as town:
        gateways = [town.gateway(Plan.CODING, None) for _ in range(5)]
        for second in range(120):
            town.clock.advance(1)
            for gateway in gateways:
                await gateway.look()
            assert len(town.asked()) <= 1 + second // 54

        boards = {msgspec.json.encode(gateway.board) for gateway in gateways}
        assert 1 == len(boards)
        assert 3 == len(town.asked())


async def test_the_start_plan_is_asked_with_its_token_and_one_device_for_good(tmp_path: Path) -> None:
    async with _town() as town:
        for _ in range(2):
            books = SqliteBooks(tmp_path / "usage.db", "p", town.clock)
            await town.gateway(Plan.START, books).look()  # type: ignore[arg-type]  # the port is the same
            await books.aclose()
            town.clock.advance(100)

        first, second = town.asked(BALANCE_PATH)
        assert first == second
        assert f"Bearer {SECRET.reveal()}" == first[0]
        assert 36 == len(first[1] or "")
        labels = {"provider": "zai", "credential": "crd_1", "balance": "Start plan (simulated)", "unit": "tokens"}
        assert 3_800_000 == town.value("zcode_balance_remaining_units", **labels)
        assert 5_000_000 == town.value("zcode_balance_total_units", **labels)


@pytest.mark.parametrize(
    ("allowance", "outcome"),
    [
        (Allowance(status=401), "refused"),
        (Allowance(status=500), "failed"),
        (Allowance(success=False), "not understood"),
    ],
)
async def test_a_failure_is_counted_and_what_was_known_is_kept(allowance: Allowance, outcome: str) -> None:
    async with _town() as town:
        gateway = town.gateway(Plan.CODING, None)
        town.simulator.allowance.allowance = Allowance(weekly=50)
        await gateway.look()
        town.simulator.allowance.allowance = allowance
        town.clock.advance(100)
        await gateway.look()

        assert 1 == town.value("zcode_quota_polls_total", outcome=outcome)
        assert 0.5 == town.value("zcode_quota_used_ratio", window="weekly")
        assert town.value("zcode_quota_read_timestamp_seconds") is None
        assert SECRET.reveal() not in repr(gateway.board)


async def test_an_upstream_that_is_away_is_a_problem_of_the_reading() -> None:
    async with _town() as town:
        gateway = town.gateway(Plan.CODING, None)
        town.simulator.drop_connections()
    await gateway.look()

    assert gateway.board.readings[0].problem.startswith("not reached: ")


class _Away(MemoryBooks):
    async def recall(self, what: str) -> bytes | None:
        raise StoreUnavailable("planted")


async def test_without_the_store_nobody_asks_and_the_task_goes_on() -> None:
    async with _town() as town:
        gateway = town.gateway(Plan.CODING, _Away(town.shelf))
        gateway.start()
        for _ in range(50):
            await asyncio.sleep(0)
        await gateway.aclose()

        assert [] == town.asked()


async def test_what_another_version_noted_is_passed_over() -> None:
    async with _town() as town:
        books = MemoryBooks(town.shelf)
        await books.note("quota", b'{"readings": 5}', 60)
        await town.gateway(Plan.CODING, books).look()

        assert 1 == len(town.asked())
