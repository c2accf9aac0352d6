"""From a clean home: log in, serve, hand out a key, use it; every step as its own process, as a person would."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.simulated import simulator_thread

ROOT = Path(__file__).parents[2]
QUESTION = {"model": "glm-5.2", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}


def _config(home: Path, origin: str) -> None:
    oauth = {
        "authorizeUrl": f"{origin}/api/oauth/authorize",
        "tokenUrl": f"{origin}/api/v1/oauth/token",
        "initUrl": f"{origin}/api/v1/oauth/cli/init",
        "pollUrl": f"{origin}/api/v1/oauth/cli/poll",
        "bizBase": origin,
        "loginUrl": f"{origin}/api/auth/z/login",
    }
    provider = {
        "anthropicBase": f"{origin}/api/anthropic",
        "openaiBase": f"{origin}/api/coding/paas/v4",
        "oauth": oauth,
    }
    settings = {
        "server": {"port": 0, "adminPort": 0},
        "auth": {"mode": "oauth"},
        "store": {"dir": str(home / "store")},
        "providers": {"zai": provider},
    }
    (home / "config.yaml").write_text(json.dumps(settings))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZCODE_", "HTTP", "http"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def _command(home: Path, *argv: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "services", *argv],
        cwd=home,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@contextmanager
def _serving(home: Path) -> Iterator[str]:
    log = home / "serve.log"  # a file, because nobody reads a pipe while the server writes a line per request
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", "serve"], cwd=home, env=_environment(), stderr=sink, stdout=sink
        )
    try:
        yield _greeting(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(20)


def _greeting(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Return the address that the server names once it serves."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("zcode-proxy serves "):
                return line.split()[2]
        time.sleep(0.05)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")


def _post(base: str, key: str | None = None) -> httpx2.Response:
    headers = {} if key is None else {"x-api-key": key}
    return httpx2.post(f"{base}/v1/messages", json=QUESTION, headers=headers, timeout=20)


def _ask(base: str, key: str | None = None) -> int:
    return _post(base, key).status_code


def _within(seconds: float, base: str, key: str | None, expected: int) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _ask(base, key) == expected:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with simulator_thread() as origin:
        _config(tmp_path, origin)
        yield tmp_path


def test_log_in_serve_and_hand_out_a_key(home: Path) -> None:
    _command(home, "auth", "login", "zai", "--no-browser", "--flow", "poll")
    [status] = json.loads(_command(home, "auth", "status", "--json"))
    assert ("zai", "ready") == (status["provider"], status["state"])
    with _serving(home) as base:
        assert 200 == _ask(base)  # no client key yet: this machine is served
        assert "No client key is set" in (home / "serve.log").read_text()

        key = _command(home, "keys", "create", "--name", "laptop").split()[0]

        assert _within(5.0, base, None, 401), "a running gateway has not heard of the key"
        assert 200 == _ask(base, key)
        _command(home, "keys", "revoke", key.split("_")[1])
        assert _within(5.0, base, key, 401), "a running gateway has not heard of the revocation"
    _command(home, "keys", "create", "--name", "desk")
    with _serving(home) as base:
        said = (home / "serve.log").read_text()

        assert 401 == _ask(base)
        assert "No client key is set" not in said, "shown to fail once by looking at the configuration alone"
        assert "ANTHROPIC_AUTH_TOKEN=<client key>" in said


def test_the_master_key_is_rotated_under_load_and_nobody_notices(home: Path) -> None:
    _command(home, "auth", "login", "zai", "--no-browser", "--flow", "poll")
    with _serving(home) as base, ThreadPoolExecutor(2) as pool:
        over = threading.Event()

        def keep_asking() -> list[int]:
            answers = []
            while not over.is_set():
                answers.append(_ask(base))
            return answers

        asked = [pool.submit(keep_asking) for _ in range(2)]
        proof = json.loads(_command(home, "rotate", "master", "--json"))
        over.set()
        answers = [status for future in asked for status in future.result()]

    assert {str(proof["primary"])} == set(proof["records"])
    assert proof["replicas"] >= 1
    assert {200} == set(answers)
    assert "all as they were written" in _command(home, "audit", "verify")


def test_without_a_login_the_first_client_is_told_the_command(home: Path) -> None:
    with _serving(home) as base:
        body = _post(base).json()

    assert "zcode-proxy auth login zai" in body["error"]["message"]
