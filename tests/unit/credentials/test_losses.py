"""A login that only a person can mend is said to be lost before that is written, and once."""

import msgspec
import pytest

from services.credentials.contract import Plan, State
from services.credentials.keyring import Keyring
from services.credentials.losses import Losses
from services.credentials.records import Credential
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import StoreUnavailable
from services.credentials.vault import Vault
from tests.support.clock import ManualClock
from tests.support.credentials import MASTER, Notes, credential


class Silent(MemoryStore):
    """A store that does not answer its next write, done or not."""

    fails: str | None = None

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        fails, self.fails = self.fails, None
        written = fails != "undone" and await super().put(kind, id_, value, kid=kid, expected=expected)
        if fails is not None:
            raise StoreUnavailable("no answer")
        return written


class Loss:
    """One login in a store, and those who find it lost."""

    def __init__(self) -> None:
        self.store = Silent()
        self.vault = Vault(self.store, Keyring.generate(MASTER))
        self.notes = Notes()
        self.clock = ManualClock()
        self.losses = Losses(self.vault, self.notes, self.clock)

    async def add(self, **fields: object) -> Credential:
        return await self.vault.write_credential(credential(refresh_token="one", **fields), expected=0)

    @property
    def said(self) -> int:
        return self.notes.count("needs_login")


async def test_a_lost_login_is_said_to_be_and_stored() -> None:
    it = Loss()
    marked = await it.losses.mark(await it.add(), "invalid_grant")

    assert (marked.state, marked.reason, marked.version) == (State.LOGIN_REQUIRED, "invalid_grant", 2)
    assert await it.vault.read_credential(marked.id) == marked
    assert it.notes.heard == [("needs_login", marked.id, "invalid_grant")]


async def test_what_is_known_is_neither_said_nor_written_again() -> None:
    """By whoever finds the same out: here another process. Shown to fail once by: the outcome of an attempt being said."""
    it = Loss()
    record = await it.add()
    marked = await it.losses.mark(record, "invalid_grant")
    other = Losses(it.vault, it.notes, it.clock)

    assert await other.mark(record, "unauthorized") == marked
    assert it.said == 1


async def test_secrets_that_were_made_anew_are_not_lost() -> None:
    it = Loss()
    record = await it.add()
    newer = await it.vault.write_credential(msgspec.structs.replace(record, refreshed_at=9.0), expected=1)

    assert await it.losses.mark(record, "invalid_grant") == newer
    assert it.said == 0


@pytest.mark.parametrize("fails", ["undone", "done"])
async def test_a_loss_that_the_store_did_not_confirm_was_said_and_is_not_said_again(fails: str) -> None:
    """Shown to fail once by: saying it when it is stored, after which nobody looks at the record again."""
    it = Loss()
    record = await it.add()
    it.store.fails = fails
    with pytest.raises(StoreUnavailable):
        await it.losses.mark(record, "invalid_grant")
    said = it.said
    marked = await it.losses.mark(record, "invalid_grant")

    assert (said, it.said) == (1, 1)
    assert marked.state is State.LOGIN_REQUIRED


async def test_a_report_that_changes_the_record_meanwhile_is_kept() -> None:
    it = Loss()
    record = await it.add()
    first = True

    class Busy(Vault):
        async def read_credential(self, id_: str, *, durable: bool = False) -> Credential:
            nonlocal first
            found = await super().read_credential(id_, durable=durable)
            if first:
                first = False
                await it.vault.write_credential(msgspec.structs.replace(found, blocked_models=("m",)), expected=1)
            return found

    busy = Losses(Busy(it.store, Keyring.generate(MASTER)), it.notes, it.clock)
    marked = await busy.mark(record, "invalid_grant")

    assert (marked.state, marked.blocked_models, it.said) == (State.LOGIN_REQUIRED, ("m",), 1)


async def test_each_plan_is_lost_for_itself_and_each_login_anew() -> None:
    it = Loss()
    record = await it.add()
    for plan in (Plan.CODING, Plan.CODING, Plan.START, Plan.START):
        it.losses.declare(record, plan, "unauthorized")
    said = it.said
    it.losses.declare(msgspec.structs.replace(record, refreshed_at=9.0), Plan.CODING, "unauthorized")

    assert (said, it.said) == (2, 3)


async def test_refusals_count_from_the_first_one_of_a_token() -> None:
    it = Loss()
    record = await it.add()
    first = it.losses.refused(record)
    it.clock.advance(20.0)
    again = it.losses.refused(msgspec.structs.replace(record, state=State.COOLING, version=7))
    anew = it.losses.refused(msgspec.structs.replace(record, refreshed_at=9.0))

    assert (first, again, anew) == (0.0, 20.0, 0.0)
