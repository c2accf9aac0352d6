"""The audit log in its file: complete, in order, fail closed, and honest about what somebody did to it."""

import asyncio
import json
import multiprocessing
import os
import random
import stat
from pathlib import Path

import pytest

from services.credentials import audit as audit_module
from services.credentials.audit import Audit, actor, log_name
from services.credentials.errors import Unavailable, Undecryptable
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import StoreUnavailable
from services.credentials.stores.sqlite import SqliteStore
from services.credentials.vault import META, Vault
from tests.support.clock import ManualClock
from tests.support.vaults import ADDED, FIRST, PROMOTED, RETIRED, overwrite


async def audit_in(directory: Path, store: MemoryStore | None = None) -> tuple[Audit, Vault]:
    vault = Vault(store or MemoryStore(ManualClock()), FIRST)
    await vault.unlock(initialise=True)
    return Audit(vault, directory / "audit.log", clock=ManualClock()), vault


async def write(audit: Audit, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        await audit.record("key.create", actor="ann", subject=f"key {number}")


def lines_of(directory: Path) -> list[bytes]:
    return (directory / "audit.log").read_bytes().splitlines()


def put(directory: Path, lines: list[bytes]) -> None:
    (directory / "audit.log").write_bytes(b"".join(line + b"\n" for line in lines))


async def test_every_action_is_one_line_in_its_order(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)
    await write(audit, 3)
    audit.note("refresh.ok", "crd_a", "rotate")
    await audit.record("login.fail", actor="ann", subject="zai", result="failed", detail="denied", request_id="req_1")
    await audit.record("master.promote", actor=actor(), subject="key 2")
    lines = [json.loads(line) for line in lines_of(tmp_path)]

    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [line["event"] for line in lines[2:]] == ["key.create", "refresh.ok", "login.fail", "master.promote"]
    assert (lines[3]["actor"], lines[3]["object"], lines[3]["detail"]) == ("service", "crd_a", "rotate")
    assert (lines[4]["result"], lines[4]["detail"], lines[4]["request_id"]) == ("failed", "denied", "req_1")
    assert (lines[5]["object"], lines[5]["actor"][:4]) == ("key 2", "uid ")
    assert (await audit.verify()).fault == ""
    assert (await audit.verify()).head.seq == 6
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600


async def test_the_log_of_the_process_has_the_line_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    audit, _ = await audit_in(tmp_path)
    with caplog.at_level("INFO", logger=audit_module.__name__):
        await write(audit, 1)

    assert [record.getMessage() for record in caplog.records] == ["audit: key.create"]
    assert vars(caplog.records[0])["fields"]["object"] == "key 0"


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("how", ["removed", "altered", "moved"])
async def test_whatever_is_done_to_a_line_shows_the_last_line_too(tmp_path: Path, number: int, how: str) -> None:
    audit, _ = await audit_in(tmp_path)
    await write(audit, 6)
    lines = lines_of(tmp_path)
    line = lines.pop(number)
    if how == "altered":
        lines.insert(number, line.replace(b'"actor":"ann"', b'"actor":"bob"'))
    elif how == "moved":
        lines.insert((number + 3) % 6, line)
    put(tmp_path, lines)

    verdict = await audit.verify()
    assert verdict.fault
    assert verdict.line <= number + 1

    await write(audit, 2, first=6)  # what is written afterwards does not cover it up
    assert (await audit.verify()).line <= number + 1


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("again", [False, True])
async def test_a_log_that_is_gone_shows_although_another_is_begun(tmp_path: Path, again: bool) -> None:
    audit, vault = await audit_in(tmp_path)
    await write(audit, 3)
    (tmp_path / "audit.log").unlink()
    if again:
        await write(Audit(vault, tmp_path / "audit.log"), 1, first=3)

    assert (await audit.verify()).line == 1


async def test_an_empty_log_is_in_order(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)

    assert (await audit.verify()).head.seq == 0


@pytest.mark.parametrize("keep", [1, 40, -1])
async def test_a_line_torn_by_a_crash_is_cut_off_if_nobody_was_told_of_it(tmp_path: Path, keep: int) -> None:
    audit, _ = await audit_in(tmp_path)
    await write(audit, 2)
    audit.note("refresh.ok", "crd_a")
    lines = lines_of(tmp_path)
    (tmp_path / "audit.log").write_bytes(b"\n".join([*lines[:2], lines[2][:keep]]))
    again = Audit(audit._vault, audit.path)
    await again.record("key.create", actor="ann", subject="key 2")

    assert len(lines_of(tmp_path)) == 3
    assert (await again.verify()).fault == ""


async def test_a_line_that_was_answered_and_is_torn_now_shows(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)
    await write(audit, 3)
    (tmp_path / "audit.log").write_bytes((tmp_path / "audit.log").read_bytes()[:-20])
    assert (await audit.verify()).line == 3

    await write(audit, 1, first=3)
    assert (await audit.verify()).line == 3


async def test_nothing_is_answered_when_the_file_cannot_be_written(tmp_path: Path) -> None:
    audit, vault = await audit_in(tmp_path)
    (tmp_path / "audit.log").mkdir()
    with pytest.raises(Unavailable, match=r"audit\.log cannot be written"):
        await write(audit, 1)
    with pytest.raises(Unavailable, match="cannot be read"):
        await audit.verify()

    audit.note("refresh.ok", "crd_a")  # the service goes on
    assert await vault.read_value(META, "audit:local") is None


async def test_nothing_is_answered_when_the_store_is_away_and_the_line_stays_provable(tmp_path: Path) -> None:
    store = MemoryStore(ManualClock())
    audit, _ = await audit_in(tmp_path, store)
    await write(audit, 2)
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await write(audit, 1)
    audit.note("store.degraded", "store")

    assert len(lines_of(tmp_path)) == 3


async def test_an_anchor_that_somebody_changed_is_not_believed(tmp_path: Path) -> None:
    store = MemoryStore(ManualClock())
    audit, _ = await audit_in(tmp_path, store)
    await write(audit, 2)
    await overwrite(store, META, "audit:local", b'{"seq":0}')

    for wanted in (write(audit, 1), audit.verify()):
        with pytest.raises(Undecryptable):
            await wanted


async def test_a_master_key_may_go_and_its_lines_are_still_proven(tmp_path: Path) -> None:
    audit, vault = await audit_in(tmp_path)
    await write(audit, 3)
    for keyring in (ADDED, PROMOTED):
        await vault.adopt(keyring)
    await write(audit, 3, first=3)
    for id_ in ("check", "audit:local"):
        await vault.reseal(META, id_)
    await vault.adopt(RETIRED.without(1))

    verdict = await audit.verify()
    assert (verdict.fault, verdict.unkeyed, verdict.head.seq) == ("", 3, 6)


async def test_many_at_once_are_written_one_after_the_other(tmp_path: Path) -> None:
    audit, vault = await audit_in(tmp_path)
    others = [Audit(vault, tmp_path / "audit.log", clock=ManualClock()) for _ in range(4)]
    await asyncio.gather(*(write(each, 5) for each in [audit, *others]))

    assert len(lines_of(tmp_path)) == 25
    assert (await audit.verify()).fault == ""


def _work(directory: str, number: int) -> None:
    async def run() -> None:
        store = SqliteStore(Path(directory) / "store.db")
        await store.open()
        vault = Vault(store, FIRST)
        await vault.unlock(initialise=True)
        audit = Audit(vault, Path(directory) / "audit.log", name="local")
        await write(audit, 5, first=number * 5)
        await store.aclose()

    asyncio.run(run())


async def test_processes_share_one_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    vault = Vault(store, FIRST)
    await vault.unlock(initialise=True)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(str(tmp_path), number)) for number in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        await asyncio.to_thread(worker.join, 60)
    verdict = await Audit(vault, tmp_path / "audit.log").verify()
    await store.aclose()

    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (verdict.fault, verdict.head.seq) == ("", 10)
    assert {json.loads(line)["object"] for line in lines_of(tmp_path)} == {f"key {number}" for number in range(10)}


async def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unavailable):
        await write(audit, 1)

    assert (tmp_path / "elsewhere").read_bytes() == b""


async def test_fields_are_cut_so_that_a_line_stays_a_line(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)
    noise = "".join(random.Random(1).choices("a\n\r\u2028\x00", k=100_000))
    await audit.record("key.create", actor=noise, subject=noise, detail=noise, request_id=noise)
    await write(audit, 1)

    assert len((tmp_path / "audit.log").read_bytes()) < 16_000
    assert (await audit.verify()).head.seq == 2


def test_a_shared_store_has_a_log_for_each_machine() -> None:
    assert log_name(None) == log_name("sqlite:///x/y.db") == "local"
    assert log_name("redis://h") == audit_module._NOT_A_NAME.sub("-", os.uname().nodename)[:64]


class Crowded(MemoryStore):
    """Lets nobody write the anchor."""

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        return not id_.startswith("audit:") and await super().put(kind, id_, value, kid=kid, expected=expected)


async def test_nothing_is_answered_when_the_anchor_cannot_be_kept(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path, Crowded(ManualClock()))
    with pytest.raises(Unavailable, match="end could not be kept"):
        await write(audit, 1)


async def test_a_file_that_another_process_holds_is_not_waited_for_by_a_note(tmp_path: Path) -> None:
    audit, _ = await audit_in(tmp_path)
    await write(audit, 1)
    with audit_module._locked(tmp_path / "audit.log", 1.0):
        audit.note("refresh.ok", "crd_a")

    assert len(lines_of(tmp_path)) == 1
