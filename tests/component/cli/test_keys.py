"""Client keys from the command line, on a store of its own, down to what a gateway makes of them."""

import asyncio
import json
from pathlib import Path

import pytest

from services.credentials import key_format, keyring_file
from services.credentials.client_keys import ClientKeyBook
from services.credentials.contract import Snapshot
from services.credentials.keyring import Keyring
from services.credentials.settings import StoreSettings
from services.credentials.vault_of import vault_of
from services.gateway.client_keys import SnapshotKeys
from services.gateway.errors import Unauthenticated
from services.gateway.guard import Caller
from tests.component.cli.conftest import Cli, Run


@pytest.fixture
def home(empty_directory: Path) -> Path:
    """Return where the store is, which is not there yet."""
    return empty_directory / ".zcode-proxy"


def caller_of(directory: Path, key: str) -> Caller | None:
    """Return as whom a gateway on this store would let a key in."""

    async def snapshot() -> Snapshot:
        async with vault_of(StoreSettings(dir=str(directory))) as (vault, store):
            known = await ClientKeyBook(vault, store).known()
            return Snapshot(generation=1, client_keys=known.keys, pepper=known.pepper)

    held = asyncio.run(snapshot())
    try:
        return SnapshotKeys(lambda: held).caller_of(key.encode(), "10.0.0.1")
    except Unauthenticated:
        return None


def test_a_key_is_shown_once_alone_on_stdout_and_lets_in(cli: Cli, home: Path) -> None:
    made = cli("keys", "create", "--name", "laptop", "--models", "glm-4.7, glm-5.2", "--expires", "30d")
    key = made.stdout.strip()
    parsed = key_format.parse(key.encode())

    assert made.exit_code == 0
    assert parsed is not None
    assert "only now" in made.stderr
    assert key not in made.stderr
    assert caller_of(home, key) == Caller(parsed.id, ("glm-4.7", "glm-5.2"))

    listed = cli("keys", "list").stdout + cli("keys", "list", "--json").stdout
    assert parsed.id in listed
    assert parsed.secret.decode() not in listed
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert parsed.secret not in kept
    assert b"glm-4.7" not in kept


def test_a_key_in_json_and_what_is_listed_of_it(cli: Cli) -> None:
    made = json.loads(cli("keys", "create", "--name", "ci", "--owner", "team", "--json").stdout)
    (listed,) = json.loads(cli("keys", "list", "--json").stdout)

    assert made == {"key": made["key"], **listed}
    assert (listed["name"], listed["owner"], listed["models"], listed["state"]) == ("ci", "team", [], "active")


def test_a_key_is_replaced_with_both_secrets_good_meanwhile(cli: Cli, home: Path) -> None:
    old = cli("keys", "create", "--name", "ci").stdout.strip()
    id_ = old[4:16]
    new = cli("keys", "rotate", id_)

    assert "--finish" in new.stderr
    assert caller_of(home, old) == caller_of(home, new.stdout.strip()) == Caller(id_)
    assert json.loads(cli("keys", "list", "--json").stdout)[0]["state"] == "two secrets"

    assert "only the newest" in cli("keys", "rotate", f"zrp_{id_}", "--finish").stdout
    assert caller_of(home, old) is None
    assert caller_of(home, new.stdout.strip()) == Caller(id_)


def test_a_revoked_key_lets_nobody_in_and_is_still_listed(cli: Cli, home: Path) -> None:
    key = cli("keys", "create", "--name", "ci").stdout.strip()
    revoked = cli("keys", "revoke", key[4:16])

    assert "revoked ci" in revoked.stdout
    assert caller_of(home, key) is None
    assert "\trevoked\t" in cli("keys", "list").stdout
    again = cli("keys", "rotate", key[4:16])
    assert (again.exit_code, "revoked" in again.stderr) == (1, True)


def test_before_the_first_key_nothing_is_made(cli: Cli, home: Path) -> None:
    assert "keys create" in cli("keys", "list").stdout
    assert cli("keys", "list", "--json").stdout == "[]\n"
    gone = cli("keys", "revoke", "aaaaaaaaaaaa")

    assert (gone.exit_code, "no key with the id" in gone.stderr) == (1, True)
    assert not home.exists()


def test_a_whole_key_is_not_taken_on_the_command_line(cli: Cli) -> None:
    key = cli("keys", "create", "--name", "ci").stdout.strip()
    refused = cli("keys", "revoke", key)

    assert refused.exit_code == 2
    assert key[4:16] in refused.stderr
    assert key[17:40] not in refused.output
    assert "12 characters" in cli("keys", "revoke", "nonsense").stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--name", ""), "must not be empty"),
        (("--name", "a\nb"), "printable"),
        (("--name", "x" * 65), "64"),
        (("--name", "a", "--expires", "2001-01-01"), "over already"),
        (("--name", "a", "--expires", "soon"), "such as 12h"),
        ((), "--name"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(cli: Cli, options: tuple[str, ...], words: str, home: Path) -> None:
    refused = cli("keys", "create", *options)

    assert refused.exit_code == 2
    assert words in refused.stderr
    assert not home.exists()


def test_a_keyring_that_went_missing_is_said_and_nothing_is_made(cli: Cli, home: Path) -> None:
    cli("keys", "create", "--name", "ci")
    (home / "keyring.json").unlink()
    refused = cli("keys", "create", "--name", "other")

    assert refused.exit_code == 78
    assert not (home / "keyring.json").exists()


def test_a_store_that_does_not_answer_is_said(cli: Cli) -> None:
    keyring_file.create(Path("keyring.json"), Keyring.generate(bytes(range(32))))
    Path("config.yaml").write_text("store: {url: 'redis://127.0.0.1:1/0'}\nkeyring: {file: keyring.json}\n")
    refused = cli("keys", "list")

    assert refused.exit_code == 69


def test_as_a_process_of_its_own(run: Run) -> None:
    made = run("keys", "create", "--name", "ci")

    assert (made.returncode, len(made.stdout)) == (0, 70)


@pytest.mark.parametrize("models", ["", ",", " , "])
def test_a_list_of_no_models_is_not_all_of_them(cli: Cli, models: str) -> None:
    """Shown to fail once by: an empty variable in a script, and a key for everything."""
    refused = cli("keys", "create", "--name", "ci", "--models", models)

    assert (refused.exit_code, "names no model" in refused.stderr) == (2, True)
    assert json.loads(cli("keys", "list", "--json").stdout) == []
