"""Answers on disk."""

import stat
from pathlib import Path

import pytest

from services.credentials.records import Secrets
from services.credentials.spool import Entry, Spool
from services.credentials.stores.memory import MemoryStore
from services.credentials.token_provider import RefreshedSecrets
from services.credentials.vault import Vault
from tests.support.vaults import FIRST, STRANGE, Reports

SECRETS = Secrets(api_key="canary-key", refresh_token="canary-refresh")
ENTRY = Entry(
    credential_id="crd_a", epoch="e", fence=3, answer=RefreshedSecrets(secrets=SECRETS, expires_in=9.0), at=5.0
)


def spool(directory: Path) -> Spool:
    return Spool(directory / "spool", Vault(MemoryStore(), FIRST))


async def test_what_was_appended_is_found_by_another_process(tmp_path: Path) -> None:
    name = await spool(tmp_path).append(ENTRY)

    assert await spool(tmp_path).entries() == [(name, ENTRY)]


async def test_it_is_sealed_and_this_users_alone(tmp_path: Path) -> None:
    name = await spool(tmp_path).append(ENTRY)
    path = tmp_path / "spool" / name

    assert b"canary" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_removing_is_for_good_and_may_be_repeated(tmp_path: Path) -> None:
    found = spool(tmp_path)
    name = await found.append(ENTRY)
    await found.remove(name)
    await found.remove(name)

    assert await found.entries() == []


@pytest.mark.promise("P-11")
async def test_a_file_that_goes_meanwhile_hides_no_other_one(tmp_path: Path) -> None:
    """Shown to fail once by: one `stat` that fails for all, after which a token was used again that had its answer."""
    found = spool(tmp_path)
    name = await found.append(ENTRY)
    (tmp_path / "spool" / ".crd_b.0123456789abcdef.spool").symlink_to("gone")  # named, and not there

    assert await found.entries() == [(name, ENTRY)]


async def test_there_may_be_nothing_yet(tmp_path: Path) -> None:
    assert await spool(tmp_path).entries() == []


async def test_what_does_not_open_is_left_alone_and_reported(tmp_path: Path) -> None:
    name = await spool(tmp_path).append(ENTRY)
    torn = tmp_path / "spool" / "crd_b.0123456789abcdef.spool"
    torn.write_bytes(b"\x01torn")
    (tmp_path / "spool" / ".crd_c.0123456789abcdef.spool").write_bytes(b"a draft")
    reports = Reports()

    assert await Spool(tmp_path / "spool", Vault(MemoryStore(), STRANGE, report=reports)).entries() == []
    assert {trouble.id for trouble in reports.troubles} == {"crd_a", "crd_b"}
    assert torn.exists()
    assert [found for found, _ in await spool(tmp_path).entries()] == [name]


async def test_a_file_that_was_renamed_to_another_credential_does_not_open(tmp_path: Path) -> None:
    name = await spool(tmp_path).append(ENTRY)
    (tmp_path / "spool" / name).rename(tmp_path / "spool" / name.replace("crd_a", "crd_b"))

    assert await spool(tmp_path).entries() == []


async def test_a_disk_that_takes_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the directory should be")
    found = spool(tmp_path)

    assert await found.writable() is False
    with pytest.raises(OSError, match=r".+"):
        await found.append(ENTRY)


async def test_a_directory_that_can_be_made_is_writable(tmp_path: Path) -> None:
    assert await spool(tmp_path).writable() is True
