"""`backup` and `restore` on a store of their own."""

import errno
import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.component.cli.conftest import Cli


@pytest.fixture
def home(empty_directory: Path) -> Path:
    """Return where the store is, which is not there yet."""
    return empty_directory / ".zcode-proxy"


def names(cli: Cli) -> list[str]:
    return [key["name"] for key in json.loads(cli("keys", "list", "--json").stdout)]


@pytest.mark.promise("P-69")
def test_what_was_backed_up_comes_back_after_the_store_was_lost(cli: Cli, home: Path) -> None:
    cli("keys", "create", "--name", "one")
    made = cli("backup", "all.backup")
    assert made.exit_code == 0, (made.stderr, made.exception)
    (home / "store.db").unlink()
    for rest in home.glob("store.db-*"):
        rest.unlink()
    done = cli("restore", "all.backup")

    assert (made.exit_code, done.exit_code) == (0, 0)
    assert "put back" in done.stdout
    assert names(cli) == ["one"]
    assert stat.S_IMODE(Path("all.backup").stat().st_mode) == 0o600
    assert b"one" not in Path("all.backup").read_bytes()


def test_what_is_newer_stays_and_both_are_in_the_audit_log(cli: Cli, home: Path) -> None:
    id_ = cli("keys", "create", "--name", "one").stdout[4:16]
    cli("backup", "all.backup")
    cli("keys", "revoke", id_)
    done = cli("restore", "all.backup")

    assert ": 0 values put back" in done.stdout
    assert json.loads(cli("keys", "list", "--json").stdout)[0]["state"] == "revoked"
    events = [json.loads(line)["event"] for line in (home / "audit.log").read_text().splitlines()]
    assert events == ["key.create", "export", "key.revoke", "import"]
    assert cli("audit", "verify").exit_code == 0


def test_a_file_that_is_there_is_not_overwritten(cli: Cli) -> None:
    cli("keys", "create", "--name", "one")
    Path("all.backup").write_text("precious")
    refused = cli("backup", "all.backup")

    assert (refused.exit_code, "cannot be written" in refused.stderr) == (1, True)
    assert Path("all.backup").read_text() == "precious"


def test_a_backup_is_whole_or_not_there(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("keys", "create", "--name", "one")

    sync = os.fsync

    def full(handle: int) -> None:
        if "backups.d" not in str(Path(f"/proc/self/fd/{handle}").readlink()):
            return sync(handle)  # the audit log's
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        refused = cli("backup", "backups.d")
    left = [path.name for path in Path().iterdir() if "backups" in path.name]
    again = cli("backup", "backups.d")

    assert (refused.exit_code, "No space left" in refused.stderr, left) == (1, True, [])
    assert again.exit_code == 0, again.stderr
    assert [path.name for path in Path().iterdir() if "backups" in path.name] == ["backups.d"]


def test_a_claim_without_links_takes_a_backup_and_is_not_overwritten_either(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("keys", "create", "--name", "one")

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    made, again = cli("backup", "all.backup"), cli("backup", "all.backup")

    assert (made.exit_code, again.exit_code) == (0, 1)
    assert "File exists" in again.stderr


def test_another_keyring_does_not_open_it_and_claims_nothing(cli: Cli, home: Path) -> None:
    """Shown to fail once by: a keyring that is made, and claims the store, before the backup does not open."""
    cli("keys", "create", "--name", "one")
    cli("backup", "all.backup")
    kept = (home / "keyring.json").read_bytes()
    shutil.rmtree(home)
    without = cli("restore", "all.backup")
    assert (without.exit_code, without.stderr) == (
        78,
        f"error: there is no keyring {home}/keyring.json: put the copy back that you kept of it, then try again\n",
    )
    assert not home.exists()

    cli("keys", "create", "--name", "two")
    other = (home / "keyring.json").read_bytes()
    shutil.rmtree(home)
    home.mkdir(mode=0o700)
    (home / "keyring.json").write_bytes(other)
    (home / "keyring.json").chmod(0o600)
    refused = cli("restore", "all.backup")
    assert (refused.exit_code, "does not open with this keyring" in refused.stderr) == (1, True)

    (home / "keyring.json").write_bytes(kept)
    assert cli("restore", "all.backup").exit_code == 0
    assert names(cli) == ["one"]


def test_without_a_store_or_a_file_that_is_said(cli: Cli, home: Path) -> None:
    assert "never made" in cli("backup", "all.backup").stderr
    assert "cannot be read" in cli("restore", "none.backup").stderr
    assert not home.exists()
