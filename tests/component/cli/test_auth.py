"""`zcode-proxy auth …` as people use it: from a clean home, against the simulated provider, every flow."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

import pytest

from services.simulator.app import Simulator
from tests.component.cli.conftest import Run, clean_environment
from tests.support.simulated import TEST_SETTINGS, simulator_thread

# A browser that opens an address, follows it, and is done.
_BROWSER = """\
import sys
from urllib.request import ProxyHandler, build_opener
build_opener(ProxyHandler({})).open(sys.argv[1], timeout=10).read()
"""


class Laptop:
    """A home directory, a browser, and the command."""

    def __init__(self, run: Run, directory: Path, simulator: Simulator, origin: str) -> None:
        self.accounts = simulator.accounts
        self.home = directory / "home"
        self.home.mkdir()
        self.store = self.home / ".zcode-proxy"
        self._run = run
        self._directory = directory
        self._browser = directory / "browser.py"
        self._browser.write_text(_BROWSER)
        addresses = {
            "tokenUrl": f"{origin}/api/v1/oauth/token",
            "initUrl": f"{origin}/api/v1/oauth/cli/init",
            "pollUrl": f"{origin}/api/v1/oauth/cli/poll",
            "bizBase": origin,
        }
        zai = addresses | {"authorizeUrl": f"{origin}/api/oauth/authorize", "loginUrl": f"{origin}/api/auth/z/login"}
        bigmodel = addresses | {"authorizeUrl": f"{origin}/login"}
        config = {"providers": {"zai": {"oauth": zai}, "bigmodel": {"oauth": bigmodel}}}
        (directory / "config.yaml").write_text(json.dumps(config))

    @property
    def without_browser(self) -> dict[str, str]:
        return {"HOME": str(self.home), "ZCODE_PROXY_STORE_DIR": "~/.zcode-proxy"}

    @property
    def environ(self) -> dict[str, str]:
        return self.without_browser | {"BROWSER": f"{sys.executable} {shlex.quote(str(self._browser))} %s"}

    def auth(self, *argv: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return self._run("auth", *argv, **self.environ, **environ)

    def start(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command whose input and output are pipes, without a browser."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "services", "auth", *argv],
            cwd=self._directory,
            env=clean_environment(**self.without_browser),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def listed(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.auth("status", "--json").stdout)
        return found

    def secrets(self) -> set[str]:
        """Return every secret that the provider has handed out."""
        accounts = self.accounts
        return {*accounts.issued_keys, *accounts._access, *accounts._refresh, *accounts._business}


@pytest.fixture
def laptop(run: Run, tmp_path: Path) -> Iterator[Laptop]:
    simulator = Simulator(TEST_SETTINGS)
    simulator.accounts.change({"refresh": True})
    with simulator_thread(simulator) as origin:
        yield Laptop(run, tmp_path, simulator, origin)


def page_of(process: "subprocess.Popen[str]") -> str:
    """Read what a login prints up to the address to open."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.strip().startswith("http"):
            return line.strip()
    raise AssertionError("no address was printed")


def end_of(page: str) -> str:
    """Open the provider's page without following it, and return where it leads to."""
    opener = build_opener(ProxyHandler({}), _Staying)
    with opener.open(page, timeout=10) as answer:
        location: str = answer.headers["location"]
    return location


class _Staying(HTTPRedirectHandler):
    """Follows nothing."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return fp


@pytest.mark.parametrize("flow", ["poll", "loopback"])
@pytest.mark.parametrize("provider", ["zai", "bigmodel"])
def test_a_login_with_a_browser_from_a_clean_home(laptop: Laptop, flow: str, provider: str) -> None:
    laptop.accounts.change({"approve": "visit"})

    done = laptop.auth("login", provider, "--flow", flow)

    assert done.returncode == 0, done.stderr
    assert f"logged in to {provider}" in done.stdout
    (record,) = laptop.listed()
    (key,) = laptop.accounts.issued_keys
    assert (record["provider"], record["state"], record["kind"]) == (provider, "ready", "oauth")
    assert (record["user_id"], record["key"]) == ("user-simulated", f"…{key[-4:]}")
    assert record["start_plan_issued_at"]
    assert {path.stat().st_mode & 0o77 for path in (laptop.store, *laptop.store.iterdir())} == {0}


def test_a_pasted_address_logs_in_and_a_wrong_one_is_asked_for_again(laptop: Laptop) -> None:
    process = laptop.start("login", "zai", "--flow", "paste")
    page = page_of(process)
    end = end_of(page)
    assert urlsplit(end).netloc == "zcode.z.ai"

    out, err = process.communicate(f"nonsense\n{end}\n", timeout=30)

    assert process.returncode == 0, err
    assert "logged in to zai" in out
    assert "this is not the address at which the login ends" in err


def test_a_paste_without_an_input_is_refused_at_once(laptop: Laptop) -> None:
    """Shown to fail once by: waiting for a line that will never come."""
    process = laptop.start("login", "zai", "--flow", "paste")
    _, words = process.communicate(timeout=30)

    assert process.returncode == 1
    assert "error: the input ended before an address was pasted" in words


def test_by_default_the_first_way_that_is_offered_is_taken(laptop: Laptop) -> None:
    laptop.accounts.change({"offered": False})

    done = laptop.auth("login", "zai")

    assert done.returncode == 0, done.stderr
    assert "trying another way" in done.stderr
    assert laptop.accounts.counts["init"] == 1
    assert laptop.accounts.counts["exchanged"] == 1


def test_when_the_browser_cannot_come_back_enter_leads_to_the_paste(laptop: Laptop) -> None:
    laptop.accounts.change({"offered": False})
    process = laptop.start("login", "zai", "--no-browser")
    assert process.stdin is not None
    page_of(process)
    process.stdin.write("\n")
    process.stdin.flush()
    end = end_of(page_of(process))

    out, err = process.communicate(f"{end}\n", timeout=30)

    assert process.returncode == 0, err
    assert "logged in to zai" in out


def test_a_second_login_renews_the_first_and_logout_removes_it(laptop: Laptop) -> None:
    for label in ("one", "two"):
        assert laptop.auth("login", "zai", "--label", label).returncode == 0
    (record,) = laptop.listed()
    assert record["label"] == "two"

    shown = laptop.auth("status")
    assert shown.stdout.splitlines()[1].split("\t")[1:5] == ["zai", "two", "oauth", "ready"]
    assert laptop.auth("logout", "bigmodel").stdout == "there was nothing to remove\n"
    assert laptop.auth("logout").stdout == f"removed zai: two ({record['id']})\n"
    nobody = laptop.auth("status")
    assert (nobody.returncode, "nobody is logged in" in nobody.stdout) == (1, True)


def test_what_becomes_of_logins_is_in_the_audit_log_and_no_secret_is(laptop: Laptop) -> None:
    laptop.auth("login", "zai", "--no-browser")
    laptop.accounts.change({"approve": "deny"})
    laptop.auth("login", "zai", "--no-browser")
    laptop.auth("logout")

    lines = (laptop.store / "audit.log").read_text().splitlines()
    events = [(line["event"], line["result"]) for line in map(json.loads, lines)]
    assert events == [
        ("login.start", "ok"),
        ("login.ok", "ok"),
        ("login.start", "ok"),
        ("login.fail", "failed"),
        ("cred.delete", "ok"),
    ]


def test_status_and_logout_make_nothing_in_a_clean_home(laptop: Laptop) -> None:
    assert laptop.auth("status").returncode == 1
    assert laptop.auth("status", "--json").stdout == "[]\n"
    assert laptop.auth("logout").returncode == 0
    assert not laptop.store.exists()


def test_no_secret_is_printed_or_kept_readable(laptop: Laptop) -> None:
    done = [
        laptop.auth("login", "zai", "--no-browser"),
        laptop.auth("status"),
        laptop.auth("status", "--json"),
        laptop.auth("logout"),
    ]

    printed = "".join(step.stdout + step.stderr for step in done)
    at_rest = b"".join(path.read_bytes() for path in laptop.store.iterdir())
    secrets = laptop.secrets()
    assert len(secrets) >= 4
    for secret in secrets:
        assert secret not in printed
        assert secret.encode() not in at_rest


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"approve": "deny"}, "failed or was refused"),
        ({"faults": {"init": ["status=500"]}}, "beginning the login"),
        (
            {"faults": {"customer": ["code=500"]}},
            "looking up the account: the provider refused it (code 500): scripted",
        ),
        ({"faults": {"poll": ["html"]}}, "makes no sense"),
    ],
)
def test_a_login_that_fails_says_why_and_keeps_nothing(laptop: Laptop, behaviour: object, words: str) -> None:
    laptop.accounts.change(behaviour)

    done = laptop.auth("login", "zai", "--no-browser")

    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert laptop.listed() == []


def test_a_way_that_is_not_offered_says_that_there_are_others(laptop: Laptop) -> None:
    laptop.accounts.change({"offered": False})

    done = laptop.auth("login", "zai", "--flow", "poll")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("does not offer this (HTTP 404); without --flow, other ways are tried\n")


def test_the_start_plan_alone_is_enough_where_it_is_the_plan(laptop: Laptop, tmp_path: Path) -> None:
    laptop.accounts.change({"faults": {"customer": ["code=500"]}})
    config = json.loads((tmp_path / "config.yaml").read_text()) | {"plan": "start-plan"}
    (tmp_path / "start.yaml").write_text(json.dumps(config))

    done = laptop.auth("login", "zai", "--config", "start.yaml")

    assert done.returncode == 0, done.stderr
    assert "no key for the coding plan" in done.stderr
    assert laptop.listed()[0]["key"] is None


def test_the_desktops_login_is_imported_and_a_missing_one_is_named(laptop: Laptop) -> None:
    missing = laptop.auth("login", "zai", "--import")
    assert (missing.returncode, missing.stderr.count("there is no ")) == (1, 2)

    path = laptop.home / ".zcode" / "v2" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"provider": {"builtin:zai-coding-plan": {"options": {"apiKey": "id." + "s" * 40}}}}))
    done = laptop.auth("login", "zai", "--import")

    assert done.returncode == 0, done.stderr
    (record,) = laptop.listed()
    assert (record["kind"], record["key"], record["refreshable"]) == ("api_key", "…ssss", False)
    assert laptop.auth("login", "zai", "--from", "zcode-proxy").returncode == 1


def test_a_keyring_that_is_gone_ends_with_78_before_anybody_logs_in(laptop: Laptop) -> None:
    assert laptop.auth("login", "zai").returncode == 0
    (laptop.store / "keyring.json").unlink()
    before = dict(laptop.accounts.counts)

    for argv in (("login", "zai"), ("status",), ("logout",)):
        done = laptop.auth(*argv)
        assert (done.returncode, "Traceback" in done.stderr) == (78, False)
    assert dict(laptop.accounts.counts) == before
    assert not (laptop.store / "keyring.json").exists()


def test_addresses_that_are_missing_are_named(laptop: Laptop, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text('{"providers": {"zai": {"oauth": {"tokenUrl": null, "loginUrl": null}}}}')

    done = laptop.auth("login", "zai", "--config", "none.yaml")

    assert done.returncode == 64
    assert "tokenUrl, loginUrl must be set" in done.stderr


def test_a_terminal_shows_how_much_time_is_left(laptop: Laptop, tmp_path: Path) -> None:
    laptop.accounts.change({"approve": "visit", "lifetime": 100})
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "services", "auth", "login", "zai", "--no-browser"],
        cwd=tmp_path,
        env=clean_environment(**laptop.without_browser, TERM="xterm"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while not re.search(rb"waiting for you to agree.*1:\d\d left", shown):
            shown += os.read(ours, 4096)
        found = re.search(rb"http://\S+", shown)
        assert found
        page = re.sub(rb"\x1b\[[0-9;]*m", b"", found[0]).decode()
        build_opener(ProxyHandler({})).open(page, timeout=10).close()
        try:
            while more := os.read(ours, 4096):
                shown += more
        except OSError:  # the other end is closed
            pass
        os.close(ours)
        assert process.wait(30) == 0
    assert b"logged in to zai" in shown


def test_a_logins_key_is_asked_for_again_where_it_came_from(laptop: Laptop, run: Run) -> None:
    assert laptop.auth("login", "zai").returncode == 0
    (record,) = laptop.listed()
    same = run("rotate", "credential", str(record["id"]), **laptop.environ)
    given = run("rotate", "credential", str(record["id"]), "--key-file", "none", **laptop.environ)
    laptop.accounts.revoke_keys()  # its owner has deleted it
    other = run("rotate", "credential", str(record["id"]), "--json", **laptop.environ)
    (after,) = laptop.listed()

    assert (same.returncode, same.stdout.split(":")[0]) == (0, "the same key as before")
    assert (given.returncode, "this is a login" in given.stderr) == (2, True), "shown to fail once by ignoring the file"
    assert (other.returncode, json.loads(other.stdout)["changed"]) == (0, True)
    assert after["key"] != record["key"]
    assert after["state"] == "ready"
