"""P-25 with the real processes: whatever needs the keyring and does not have it leaves with 78, and writes nothing."""

import json
from pathlib import Path

import pytest

from services.credentials import keyring_file
from services.credentials.keyring import Keyring
from tests.component.cli.conftest import Run

COMMANDS = (["credentials"], ["serve"], ["keys", "list"], ["rotate", "master"], ["init"])


@pytest.mark.promise("P-25")
@pytest.mark.parametrize("how", ["lost", "of another store"])
def test_without_the_stores_own_keyring_everything_leaves_with_78(run: Run, how: str, empty_directory: Path) -> None:
    state = empty_directory / "state"
    settings = {
        "server": {"port": 0, "adminPort": 0},
        "auth": {"mode": "oauth"},
        "credentials": {"port": 0, "adminPort": 0},
        "store": {"dir": str(state)},
    }
    (empty_directory / "config.yaml").write_text(json.dumps(settings))
    assert run("init").returncode == 0
    (state / "keyring.json").unlink()
    if how != "lost":
        keyring_file.create(state / "keyring.json", Keyring.generate(bytes(range(32))))
    before = kept(state)
    for argv in COMMANDS:
        done = run(*argv)

        assert done.returncode == 78, (argv, done.stderr)
        assert "keyring" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert kept(state) == before, argv


def kept(directory: Path) -> dict[str, bytes]:
    """Return every file but SQLite's side files, which opening a store may touch."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.startswith("store.db-")}
