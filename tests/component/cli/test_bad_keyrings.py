"""
P-25 as its users meet it: whatever they start, a keyring that is wrong, missing or worthless ends it with one line.

Shown to fail once by: making a new keyring where one is missing.
"""

import hashlib
import json
from pathlib import Path

import pytest

from services.credentials import keyring_file
from services.credentials.stores.sqlite import SqliteStore
from tests.component.cli.conftest import Run
from tests.component.credentials.test_bad_keyrings import BAD
from tests.support.vaults import FIRST, contents, filled

STARTS = {
    "all in one": ("serve",),
    "service": ("credentials",),
    "command": ("keys", "create", "--name", "new"),
}
# Each keyring once in every run; every keyring with every start under `make soak`.
PAIRS = [
    pytest.param(bad, start, marks=() if number % len(STARTS) == at else pytest.mark.soak)
    for number, bad in enumerate(BAD)
    for at, start in enumerate(STARTS)
]


def files_in(home: Path) -> list[str]:
    return sorted(path.name for path in home.iterdir())


async def _looks_like(home: Path) -> tuple[str, list[str]]:
    """Hash what the store holds, and name the files beside it."""
    store = SqliteStore(home / "store.db")
    held = repr(sorted((name, repr(value)) for name, value in (await contents(store)).items()))
    await store.aclose()
    return hashlib.sha256(held.encode()).hexdigest(), files_in(home)


@pytest.mark.promise("P-25")
@pytest.mark.parametrize(("bad", "start"), PAIRS)
async def test_nothing_starts_with_a_bad_keyring(run: Run, empty_directory: Path, bad: str, start: str) -> None:
    home = empty_directory / ".zcode-proxy"
    home.mkdir(mode=0o700)
    keyring_file.create(home / "keyring.json", FIRST)
    store = SqliteStore(home / "store.db")
    await filled(store, 3)
    await store.aclose()
    BAD[bad](home / "keyring.json")
    before = await _looks_like(home)

    done = run(*STARTS[start], ZCODE_PROXY_PORT="0", ZCODE_PROXY_STORE_DIR=str(home))

    said = [line for line in done.stderr.splitlines() if line]
    print(json.dumps({"promise": "P-25", "n": 1, "failures": int(done.returncode != 78), "bad": bad, "start": start}))
    assert done.returncode == 78, done.stderr
    assert len(said) == 1
    assert "keyring" in said[0]
    assert "zrp_" not in done.stdout
    assert await _looks_like(home) == before
