"""What the commands leave in the audit log, and what `audit verify` says of it."""

import json
from pathlib import Path

import pytest

from tests.component.cli.conftest import Cli, Run


@pytest.fixture
def home(empty_directory: Path) -> Path:
    """Return where the store is, which is not there yet."""
    return empty_directory / ".zcode-proxy"


def lines_of(home: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (home / "audit.log").read_text().splitlines()]


@pytest.mark.promise("P-57")
def test_everything_done_to_a_key_is_one_line_and_looking_at_it_is_none(cli: Cli, home: Path) -> None:
    id_ = cli("keys", "create", "--name", "ci").stdout[4:16]
    cli("keys", "list")
    cli("keys", "rotate", id_)
    cli("keys", "rotate", id_, "--finish")
    cli("keys", "revoke", id_)
    cli("keys", "revoke", "aaaaaaaaaaaa")

    lines = lines_of(home)
    assert [line["event"] for line in lines] == ["key.create", "key.rotate", "key.rotate", "key.revoke"]
    assert {line["object"] for line in lines} == {f"{id_} ci"}
    assert cli("audit", "verify").stdout.endswith("4 lines, all as they were written\n")
    assert json.loads(cli("audit", "verify", "--json").stdout)["lines"] == 4


@pytest.mark.promise("P-57")
def test_everything_done_to_the_store_is_one_line_each(run: Run, home: Path) -> None:
    """Shown to fail once by: recording twice what an action does once; a rotation that records nothing."""
    run("keys", "create", "--name", "ci")
    run("rotate", "master")
    run("backup", "all.backup")
    run("restore", "all.backup")
    run("audit", "verify")

    events = [str(line["event"]) for line in lines_of(home)]
    assert events == [
        "key.create",
        *("master.add", "master.promote", "master.rewrap.done", "master.retire"),
        *("export", "import"),
    ]
    assert [line["seq"] for line in lines_of(home)] == list(range(1, len(events) + 1))
    assert run("audit", "verify").returncode == 0


def test_a_doctored_log_is_found_out(cli: Cli, home: Path) -> None:
    for name in ("one", "two", "three"):
        cli("keys", "create", "--name", name)
    log = home / "audit.log"
    log.write_text(log.read_text().replace(" two", " tow"))
    result = cli("audit", "verify")

    assert result.exit_code == 1
    assert "line 2 was changed" in result.stderr
    assert "the 1 before it are proven" in result.stderr
    log.unlink()
    assert json.loads(cli("audit", "verify", "--json").stdout)["line"] == 1


def test_no_key_is_shown_that_the_log_does_not_have(cli: Cli, home: Path) -> None:
    cli("keys", "create", "--name", "first")
    (home / "audit.log").unlink()
    (home / "audit.log").mkdir()
    result = cli("keys", "create", "--name", "second")

    assert result.exit_code == 69
    assert "audit.log cannot be written" in result.stderr
    assert "zrp_" not in result.output


def test_without_a_store_there_is_nothing_to_prove(cli: Cli, home: Path) -> None:
    assert "0 lines" in cli("audit", "verify").stdout
    assert not home.exists()
