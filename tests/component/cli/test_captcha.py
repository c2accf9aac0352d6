"""`zcode-proxy captcha link` and `status`, as they are typed."""

import json
import stat
import time
from pathlib import Path

from services.captcha.keys import Keys
from services.captcha.passes import LINK_LIFE, Passes
from services.chassis.peer.token_file import TokenFile
from tests.component.cli.conftest import Run
from tests.support.redis_server import free_port


def test_a_link_is_signed_with_the_key_of_this_machine(run: Run, tmp_path: Path) -> None:
    done = run("captcha", "link", ZCODE_PROXY_STORE_DIR=str(tmp_path / "store"), ZCODE_CAPTCHA_PORT="8765")
    key = tmp_path / "store" / "captcha.key"
    address, _, code = done.stdout.strip().partition("#")
    found = Passes(Keys(TokenFile(key)), lambda: "").read_link(code, time.time())

    assert done.returncode == 0, done.stderr
    assert address == "http://127.0.0.1:8765/captcha"
    assert found is not None
    assert (found.subject, round(found.ends - found.made)) == ("zai", LINK_LIFE)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_a_link_leads_to_where_browsers_reach_the_page(run: Run, tmp_path: Path) -> None:
    done = run(
        "captcha",
        "link",
        "--json",
        "--provider",
        "bigmodel",
        ZCODE_PROXY_STORE_DIR=str(tmp_path / "store"),
        ZCODE_CAPTCHA_ORIGIN="https://captcha.example.org",
    )
    said = json.loads(done.stdout)

    assert said["link"].startswith("https://captcha.example.org/captcha#bigmodel.")
    assert (said["provider"], said["expiresInSeconds"]) == ("bigmodel", 600)


def test_an_unknown_provider_is_named(run: Run) -> None:
    done = run("captcha", "link", "--provider", "nobody")

    assert (done.returncode, "known are bigmodel, zai" in done.stderr) == (2, True)


def test_a_bad_key_file_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    done = run("captcha", "link", ZCODE_CAPTCHA_KEY_FILE=str(tmp_path / "key"))

    assert (done.returncode, "holds no token" in done.stderr) == (64, True)
    served = run("captcha", ZCODE_CAPTCHA_KEY_FILE=str(tmp_path / "key"))
    assert (served.returncode, "Traceback" in served.stderr) == (78, False)


def test_a_service_that_does_not_run_is_said_so(run: Run, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    port = str(free_port())
    assert run("captcha", "link", ZCODE_PROXY_STORE_DIR=store).returncode == 0
    done = run("captcha", "status", ZCODE_PROXY_STORE_DIR=store, ZCODE_CAPTCHA_PORT=port)

    assert done.returncode == 69
    assert "captcha.token cannot be read" in done.stderr
    (tmp_path / "store" / "captcha.token").write_text("t" * 43)
    done = run("captcha", "status", ZCODE_PROXY_STORE_DIR=store, ZCODE_CAPTCHA_PORT=port)
    assert (done.returncode, "does not answer" in done.stderr) == (69, True)


def test_faults_in_the_settings_leave_with_64(run: Run) -> None:
    done = run("captcha", ZCODE_CAPTCHA_ORIGIN="captcha.example.org")

    assert (done.returncode, "captcha.origin" in done.stderr) == (64, True)
