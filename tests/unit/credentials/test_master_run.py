"""A rotation that several calls begin and ask about."""

import asyncio
from collections.abc import Callable

import pytest

from services.chassis.process import Tasks
from services.credentials.admin_contract import MasterProof, MasterState
from services.credentials.errors import Conflict
from services.credentials.master_run import MasterRun
from services.credentials.stores.port import StoreUnavailable
from tests.support.credentials import until

PROOF = MasterProof(primary=2, retired=(1,), records={2: 3}, resealed=3, replicas=1)


class Office:
    """Rotates when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.fault: Exception | None = None
        self.runs = self.replicas = 0

    async def rotate_master(self, progress: Callable[[MasterState], None], replicas: int = 0) -> MasterProof:
        self.runs += 1
        self.replicas = replicas
        progress(MasterState(step="re-encrypt", done=1, total=3, running=True))
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        return PROOF


async def test_who_comes_second_joins_the_rotation_that_runs() -> None:
    office = Office()
    async with Tasks() as tasks:
        run = MasterRun(office, tasks)  # type: ignore[arg-type] # the rest of the office is not asked
        assert run.state == MasterState()
        assert run.begin().running
        await until(lambda: run.state.done == 1)
        assert run.begin() == MasterState(step="re-encrypt", done=1, total=3, running=True)
        office.go.set()
        await until(lambda: not run.state.running)

        assert run.state == MasterState(proof=PROOF)
        assert office.runs == 1
        assert run.begin(replicas=3).running
        await until(lambda: not run.state.running)
    assert (office.runs, office.replicas) == (2, 3)


@pytest.mark.parametrize("fault", [Conflict("records do not open"), StoreUnavailable("the store does not answer")])
async def test_what_stops_a_rotation_is_kept_until_the_next(fault: Exception) -> None:
    office = Office()
    office.fault = fault
    office.go.set()
    async with Tasks() as tasks:
        run = MasterRun(office, tasks)  # type: ignore[arg-type] # as above
        run.begin()
        await until(lambda: not run.state.running)
        assert run.state == MasterState(fault=str(fault))
        office.fault = None
        run.begin()
        await until(lambda: run.state.proof is not None)


async def test_a_service_that_ends_breaks_its_rotation_off() -> None:
    office = Office()
    async with Tasks() as tasks:
        run = MasterRun(office, tasks)  # type: ignore[arg-type] # as above
        run.begin()
        await until(lambda: run.state.done == 1)
    assert "broken off" in run.state.fault
