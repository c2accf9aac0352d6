"""`zcode-proxy keyring`: what is printed, where keys may go, and what is refused."""

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

from services.credentials.keyring import Keyring
from tests.component.cli.conftest import Cli, clean_environment


def test_a_new_keyring_is_a_file_of_its_owners_and_claims_a_store(cli: Cli, tmp_path: Path) -> None:
    made = cli("keyring", "new", "--output", "keyring.json")
    again = cli("keyring", "new", "--output", "keyring.json")
    printed = cli("keyring", "new")
    claimed = cli("init", ZCODE_KEYRING_FILE="keyring.json", ZCODE_PROXY_STORE_DIR="state")

    assert (made.exit_code, made.stdout) == (0, "")
    assert stat.S_IMODE((tmp_path / "keyring.json").stat().st_mode) == 0o600
    assert (again.exit_code, "keyring.json is there already" in again.stderr) == (2, True)
    assert Keyring.parse(printed.stdout.encode()) != Keyring.parse((tmp_path / "keyring.json").read_bytes())
    assert claimed.exit_code == 0, claimed.stderr


def test_the_steps_of_a_rotation_by_hand(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "keyring.json"
    environ = {"ZCODE_KEYRING_FILE": str(file), "ZCODE_PROXY_STORE_DIR": str(tmp_path / "state")}
    assert cli("keyring", "new", "--output", str(file)).exit_code == 0
    assert cli("init", **environ).exit_code == 0
    assert cli("keys", "create", "--name", "one", **environ).exit_code == 0

    refused = cli("keyring", "retire", **environ)
    added = cli("keyring", "add", **environ)
    file.write_text(added.stdout)
    promoted = cli("keyring", "promote", **environ)
    file.write_text(promoted.stdout)
    status = cli("keyring", "status", "--json", **environ)
    table = cli("keyring", "status", **environ)
    kept = cli("keyring", "delete", "1", **environ)

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "not yet: no rotation is under way" in refused.stderr
    assert [key.state.value for key in Keyring.parse(added.stdout.encode())] == ["primary", "decrypt"]
    assert [key.state.value for key in Keyring.parse(promoted.stdout.encode())] == ["decrypt", "primary"]
    assert "put it where the keyring is kept" in promoted.stderr
    shown = json.loads(status.stdout)
    assert shown["step"] == "re-encrypt"
    assert "4 of 4 records are not under master key 2" in shown["next"]
    assert [(key["key"], key["state"], key["records"]) for key in shown["keys"]] == [
        (1, "decrypt", 4),
        (2, "primary", 0),
    ]
    assert table.stdout.splitlines()[0].split("\t") == ["Key", "State", "Fingerprint", "Records", "Processes"]
    assert "next: 4 of 4 records" in table.stderr
    assert (kept.exit_code, "not retired" in kept.stderr) == (78, True)
    material = json.loads(promoted.stdout)["keys"][0]["b64"]
    assert material not in status.stdout + table.stdout + refused.stderr


def test_without_a_store_there_is_nothing_to_rotate(cli: Cli) -> None:
    for argv in (("status",), ("add",)):
        done = cli("keyring", *argv)

        assert (done.exit_code, "there is no store yet" in done.stderr) == (1, True)


def test_keys_are_not_shown_on_a_screen(tmp_path: Path) -> None:
    screen, end = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "services", "keyring", "new"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=end,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(end)
    os.close(screen)

    assert done.returncode == 2
    assert b"name a file with --output" in done.stderr
