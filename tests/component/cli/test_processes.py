"""The command as its users run it: a process, its exit code, and no stack trace for their mistakes."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.component.cli.conftest import Run, clean_environment


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["version"], 0),
        (["config", "check"], 0),
        (["doctor", "--offline"], 1),
        (["nope"], 2),
        (["serve", "--api-key", "canary"], 2),
        (["serve", "--proxy-api-key=canary"], 2),
        (["serve"], 64),
        (["gateway", "none.yaml"], 64),
        (["credentials", "none.yaml"], 64),
        (["init", "--config", "none.yaml"], 64),
        (["rotate", "credential"], 2),
        (["rotate", "credential", "crd_none"], 1),
        (["keys", "list", "--server", "http://credentials:9091"], 2),
        (["simulator", "--scripts", "none.yaml"], 64),
    ],
)
def test_exit_codes_without_a_stack_trace(run: Run, argv: list[str], code: int) -> None:
    done = run(*argv)

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_a_faulty_variable_of_the_simulator_leaves_with_64(run: Run) -> None:
    done = run("simulator", ZCODE_SIMULATOR_PORT="http")

    assert done.returncode == 64
    assert done.stderr.startswith("error: env ZCODE_SIMULATOR_PORT: port: must be a whole number")


_EARLY = """\
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "services.cli.auth":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
sys.argv = ["zcode-proxy", "version"]
from services.__main__ import main
main()
"""


def test_an_interruption_leaves_no_stack_trace_however_early(tmp_path: Path) -> None:
    """Shown to fail once by: importing the command line before anything that catches it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _EARLY],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(("output", "words"), [("/dev/full", "No space left on device"), (None, "")])
def test_an_answer_that_nobody_hears_is_no_success(tmp_path: Path, output: str | None, words: str) -> None:
    """Shown to fail once by: a trace of Python's own, and its exit code 120."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(output, "w") if output is not None else os.fdopen(os.dup(writer), "w") as sink:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "services", "keys", "list", "--json"],
            cwd=tmp_path,
            env=clean_environment(HOME=str(tmp_path)),
            stdout=sink,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    os.close(writer)

    assert done.returncode == 1
    assert (words in done.stderr, len(done.stderr.splitlines())) == (True, 1 if words else 0)


def test_a_store_that_does_not_answer_is_named_without_its_password(run: Run) -> None:
    assert run("init").returncode == 0  # a keyring
    done = run("auth", "status", ZCODE_STORE_URL="redis://me:canary@127.0.0.1:1/0")

    assert (done.returncode, done.stderr) == (
        69,
        "error: Redis at 127.0.0.1:1 cannot be used: Redis did not do it (ConnectionError)\n",
    )


@pytest.mark.parametrize(
    "command", [("serve",), ("gateway",), ("credentials",), ("config", "check"), ("config", "show")]
)
def test_the_configuration_may_be_named_as_an_option_everywhere(run: Run, command: tuple[str, ...]) -> None:
    done = run(*command, "--config", "none.yaml")

    assert (done.returncode, "none.yaml" in done.stderr) == (64, True)


def test_a_secret_on_the_command_line_is_refused_with_advice(run: Run) -> None:
    done = run("serve", "--api-key=canary")

    assert "keys are not taken on the command line" in done.stderr
    assert "canary" not in done.stderr


def test_no_colour_in_a_pipe_and_none_when_it_is_refused(run: Run) -> None:
    assert "\x1b[" not in run("--help").stdout
    done = run("serve", NO_COLOR="1", FORCE_COLOR="1")

    assert "\x1b[3" not in done.stderr


def test_small_commands_start_without_the_server(tmp_path: Path) -> None:
    """`version` and `env` are typed by people; the web framework alone would double their time."""
    script = (
        "import sys\n"
        "from services.cli.app import app\n"
        "app(['version'], standalone_mode=False)\n"
        "heavy = {'litestar', 'uvicorn', 'httpx2', 'redis', 'cryptography', 'opentelemetry', 'uvloop'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_is_offered(run: Run) -> None:
    done = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")

    assert done.returncode == 0
    assert "_ZCODE_PROXY_COMPLETE" in done.stdout


def started(*argv: str, cwd: Path, wait_for: str) -> tuple["subprocess.Popen[str]", str]:
    """Start a server and return it with the first line of stderr that holds `wait_for`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "services", *argv],
        cwd=cwd,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if wait_for in line:
            return process, line
    process.stderr.close()
    process.wait(10)
    pytest.fail(f"left with {process.returncode}: {seen}")


def stopped(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    with process.stderr as rest:
        text = rest.read()
    assert "Traceback" not in text
    return process.wait(15)


def post(url: str, body: object) -> bytes:
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, json.dumps(body).encode(), {"content-type": "application/json", "authorization": "Bearer any"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - loopback
        content: bytes = answer.read()
    return content


HELLO = {"model": "glm-5.2", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}


def test_the_simulator_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    process, line = started("simulator", "--port", "0", "--pace-ms", "0", cwd=tmp_path, wait_for="listens on")
    try:
        content = post(f"{line.split()[-1]}/api/anthropic/v1/messages", HELLO)
    finally:
        code = stopped(process)

    assert json.loads(content)["type"] == "message"
    assert code == 0


def test_the_demo_serves_both_dialects_without_a_key(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("server: {adminPort: 0}\n")
    process, line = started("serve", "--demo", "--port", "0", cwd=tmp_path, wait_for="serves http://")
    try:
        base = line.split("serves ")[1].split()[0]
        openai = json.loads(post(f"{base}/v1/chat/completions", HELLO))
        anthropic = json.loads(post(f"{base}/v1/messages", HELLO))
    finally:
        code = stopped(process)

    assert openai["object"] == "chat.completion"
    assert anthropic["type"] == "message"
    assert code == 0


@pytest.mark.parametrize("argv", [["simulator"], ["serve", "--demo"], ["gateway"]])
def test_a_taken_port_leaves_with_69(run: Run, tmp_path: Path, argv: list[str]) -> None:
    (tmp_path / "config.yaml").write_text("server: {adminPort: 0}\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run(*argv, "--port", port, ZCODE_API_KEY="0123456789abcdef.secret")

    assert done.returncode == 69, done.stderr
    assert "Traceback" not in done.stderr
    assert port in done.stderr


@pytest.mark.parametrize(
    ("taken", "setting"),
    [
        ("ZCODE_PROXY_PORT", "server.port (ZCODE_PROXY_PORT"),
        ("ZCODE_PROXY_ADMIN_PORT", "server.adminPort (ZCODE_PROXY_"),
    ],
)
def test_whoever_finds_a_port_taken_learns_how_to_take_another(run: Run, taken: str, setting: str) -> None:
    with socket.socket() as other, socket.socket() as free:
        for each in (other, free):
            each.bind(("127.0.0.1", 0))
        other.listen()
        ports = {"ZCODE_PROXY_PORT": free.getsockname()[1], "ZCODE_PROXY_ADMIN_PORT": free.getsockname()[1]}
        ports[taken] = other.getsockname()[1]
        free.close()
        done = run("serve", "--demo", **{name: str(port) for name, port in ports.items()})

    assert done.returncode == 69
    assert f"127.0.0.1:{ports[taken]}: Address already in use; {setting}" in done.stderr
    assert "Traceback" not in done.stderr
