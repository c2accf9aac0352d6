"""`rotate credential` for a key that somebody gave: where the new one may come from, and where it may not."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from services.credentials.contract import Kind
from services.credentials.settings import StoreSettings
from services.credentials.vault_of import vault_of
from tests.component.cli.conftest import Run, clean_environment
from tests.support.credentials import credential

ID = "crd_givenbyhand"
NEW = "id9.a-new-upstream-key-canary-that-is-long"


@pytest.fixture
def home(empty_directory: Path) -> Path:
    asyncio.run(_fill(empty_directory / ".zcode-proxy"))
    return empty_directory


async def _fill(directory: Path) -> None:
    async with vault_of(StoreSettings(dir=str(directory))) as (vault, _):
        await vault.write_credential(credential(ID, kind=Kind.API_KEY, api_key="id.old-canary"), expected=0)


async def _key(directory: Path) -> str | None:
    async with vault_of(StoreSettings(dir=str(directory))) as (vault, _):
        return (await vault.read_credential(ID)).secrets.api_key


def rotate(home: Path, *argv: str, given: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services", "rotate", "credential", ID, *argv],
        cwd=home,
        env=clean_environment(),
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_new_key_is_piped_in_or_read_from_a_file_and_never_shown(home: Path) -> None:
    piped = rotate(home, given=f"{NEW}-1\n")
    first = asyncio.run(_key(home / ".zcode-proxy"))
    (home / "new-key").write_text(f"  {NEW}-2\n")
    read = rotate(home, "--key-file", "new-key", given="")
    second = asyncio.run(_key(home / ".zcode-proxy"))

    assert (piped.returncode, read.returncode) == (0, 0)
    assert (first, second) == (f"{NEW}-1", f"{NEW}-2")
    assert "delete the old key" in piped.stderr
    assert "canary" not in piped.stdout + piped.stderr + read.stdout + read.stderr


def test_what_is_no_key_replaces_nothing(home: Path) -> None:
    done = rotate(home, given="two\nlines-of-it\n")

    assert done.returncode == 2
    assert "that is no key" in done.stderr
    assert asyncio.run(_key(home / ".zcode-proxy")) == "id.old-canary"


def test_what_is_typed_is_not_shown(home: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "services", "rotate", "credential", ID],
        cwd=home,
        env=clean_environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        shown = b""
        while b"not shown" not in shown:
            shown += os.read(ours, 4096)
        os.write(ours, f"{NEW}\n".encode())
        shown += os.read(ours, 4096)
        assert process.wait(60) == 0

    assert asyncio.run(_key(home / ".zcode-proxy")) == NEW
    assert b"canary" not in shown


def test_a_key_on_the_line_is_refused(run: Run, home: Path) -> None:
    done = run("rotate", "credential", ID, f"--key={NEW}")

    assert done.returncode == 2
    assert asyncio.run(_key(home / ".zcode-proxy")) == "id.old-canary"
