"""
Real coding agents from npm, run once without a terminal against a gateway.

    run = CLAUDE_CODE.run(gateway.url, key, "Run `ls`", tmp_path)
    run.exit_code, run.text, run.workspace

Each is told of the gateway with what `zcode-proxy env` prints, so that the command's advice is tested too. They get a
home of their own and nothing of this machine's environment. `make clients` installs them under tests/clients.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.cli.clients import CLIENTS, Guide, Target, literal
from services.gateway.wire.formats import WireFormat

MODULES = Path(__file__).parents[1] / "clients" / "node_modules"
MODEL, SMALL_MODEL = "glm-5.2", "glm-4.5-air"
SECONDS = 100.0  # for a whole run; the usual one takes 2 to 8

# Nothing listens on the discard port: what an agent wants of the outside world fails at once.
_NO_OUTSIDE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}


@dataclass(frozen=True)
class Invocation:
    """How to start an agent: files are relative to its home and to its workspace."""

    argv: list[str]
    variables: Mapping[str, str]
    home_files: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What became of it. `text` is the last thing the agent said."""

    exit_code: int
    text: str
    output: str
    errors: str
    workspace: Path

    def __str__(self) -> str:
        return f"exit {self.exit_code}\n--- output\n{self.output[-4000:]}\n--- errors\n{self.errors[-4000:]}"


@dataclass(frozen=True)
class Agent:
    """One agent in one dialect."""

    name: str
    dialect: WireFormat
    side_requests: int  # asked besides the round trip, such as for a title
    prepare: Callable[[Guide, str], Invocation]
    guide: str  # the client's name in `zcode-proxy env`
    last_text: Callable[[str], str]
    command: str = "command"  # what its tool calls the command to run

    def run(
        self,
        url: str,
        key: str,
        prompt: str,
        place: Path,
        files: Mapping[str, str] | None = None,
        *,
        context: int = 200_000,
    ) -> Run:
        """Give an agent one task in a workspace under `place` that holds `files`; `context`: tokens of its model."""
        target = Target(
            url=url,
            key=literal(key),
            key_variable="ZCODE_CLIENT_KEY",
            model=MODEL,
            small_model=SMALL_MODEL,
            context=context,
            max_output=32_000,
        )
        invocation = self.prepare(CLIENTS[self.guide](target), prompt)
        home, workspace = place / "home", place / "workspace"
        _write(home, invocation.home_files)
        _write(workspace, {**(files or {}), **invocation.files})
        variables = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **invocation.variables}
        try:
            exit_code, output, errors = _start(invocation.argv, workspace, variables)
        finally:
            _end_daemons(home)
        return Run(exit_code, self.last_text(output) if exit_code == 0 else "", output, errors, workspace)


def _write(place: Path, files: Mapping[str, str]) -> None:
    place.mkdir(parents=True)
    for name, text in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _start(argv: list[str], workspace: Path, variables: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a command to its end; one that takes too long is killed with all that it started."""
    with subprocess.Popen(
        argv,
        cwd=workspace,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            errors += f"\nkilled after {SECONDS:g} s"
    return process.returncode, output, errors


def _end_daemons(home: Path) -> None:
    """End what an agent left running, such as Cline's hub, which the next one would find; its home tells whose it is."""
    mark = f"HOME={home}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                os.kill(int(process.name), signal.SIGKILL)


def _installed(pattern: str) -> str:
    """Return the program for this machine: npm leaves out the packages of other systems and processors."""
    found = [path for path in MODULES.glob(pattern) if "musl" not in str(path).partition("/vendor/")[0]]
    # Two builds may fit an x64; the one called baseline runs on every one of them.
    found.sort(key=lambda path: "baseline" not in str(path))
    assert found, f"{MODULES / pattern} is not installed: run `make clients`"
    return str(found[0])


def _variables(guide: Guide) -> dict[str, str]:
    return {name: word.plain for name, word in guide.variables}


def _claude_code(guide: Guide, prompt: str) -> Invocation:
    argv = [_installed("@anthropic-ai/claude-code-*/claude"), "-p", prompt]
    argv += ["--dangerously-skip-permissions", "--output-format", "json"]
    # IS_SANDBOX: it refuses to skip permissions for root elsewhere.
    return Invocation(argv, {**_NO_OUTSIDE, **_variables(guide), "IS_SANDBOX": "1", "DISABLE_AUTOUPDATER": "1"})


def _codex(guide: Guide, prompt: str) -> Invocation:
    assert guide.file is not None
    assert guide.content is not None
    argv = [_installed("@openai/codex-*/vendor/*/bin/codex"), "exec", "--json", "--skip-git-repo-check"]
    argv += ["--dangerously-bypass-approvals-and-sandbox", prompt]
    home_files = {guide.file.removeprefix("~/"): guide.content}
    return Invocation(argv, {**_NO_OUTSIDE, **_variables(guide)}, home_files=home_files)


def codex_alone() -> dict[str, str]:
    """Return the variables for a shell that finds Codex, and with which Codex finds nothing outside."""
    program = Path(_installed("@openai/codex-*/vendor/*/bin/codex"))
    return {**_NO_OUTSIDE, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def _opencode(npm: str) -> Callable[[Guide, str], Invocation]:
    def prepare(guide: Guide, prompt: str) -> Invocation:
        assert guide.file is not None
        assert guide.content is not None
        config = json.loads(guide.content)
        config["provider"]["zcode"]["npm"] = npm
        argv = [_installed("opencode-*/bin/opencode"), "run", "--print-logs", "--log-level", "WARN"]
        argv += ["--format", "json", prompt]
        variables = {
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        }
        variables |= {**_NO_OUTSIDE, **_variables(guide)}
        return Invocation(argv, variables, files={guide.file: json.dumps(config)})

    return prepare


def _qwen_code(auth_type: str) -> Callable[[Guide, str], Invocation]:
    def prepare(guide: Guide, prompt: str) -> Invocation:
        given = _variables(guide)
        if auth_type == "openai":
            variables = {**given, "OPENAI_MODEL": MODEL}
        else:
            base, key = given["ANTHROPIC_BASE_URL"], given["ANTHROPIC_AUTH_TOKEN"]
            variables = {"ANTHROPIC_BASE_URL": base, "ANTHROPIC_API_KEY": key, "ANTHROPIC_MODEL": MODEL}
        argv = ["node", _installed("@qwen-code/qwen-code/cli.js"), "-p", prompt, "--yolo"]
        argv += ["--auth-type", auth_type, "--output-format", "json"]
        # No dead proxy for this one: it would send loopback requests there too.
        settings = {
            "privacy": {"usageStatisticsEnabled": False},
            "general": {"enableAutoUpdate": False},
            "memory": {"enableManagedAutoMemory": False},  # else it may ask again in the background, or not, as it ends
        }
        return Invocation(argv, variables, home_files={".qwen/settings.json": json.dumps(settings)})

    return prepare


def _cline(guide: Guide, prompt: str) -> Invocation:
    """Tell it of the gateway with the very command that the guide prints."""
    program = Path(_installed("@cline/cli-*/bin/cline"))
    start = next(at for at, line in enumerate(guide.remarks) if line.startswith("  cline auth"))
    told = "\n".join(guide.remarks[start : start + 2])
    script = f"{told} >/dev/null && exec cline --provider openai-compatible --json {shlex.quote(prompt)}"
    return Invocation(
        ["sh", "-ec", script],
        {**_NO_OUTSIDE, "PATH": f"{program.parent}:{os.environ['PATH']}"},
    )


def _objects(output: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of an output: one, an array of them, or one to a line."""
    for line in output.splitlines():
        if line.startswith(("{", "[")):
            read = json.loads(line)
            yield from read if isinstance(read, list) else [read]


def _run_result(output: str) -> str:
    return [str(entry["text"]) for entry in _objects(output) if entry["type"] == "run_result"][-1]


def _result(output: str) -> str:
    return [str(entry["result"]) for entry in _objects(output) if entry["type"] == "result"][-1]


def _part(output: str) -> str:
    return [str(entry["part"]["text"]) for entry in _objects(output) if entry["type"] == "text"][-1]


def _message(output: str) -> str:
    items = [entry["item"] for entry in _objects(output) if entry["type"] == "item.completed"]
    return [str(item["text"]) for item in items if item["type"] == "agent_message"][-1]


CLAUDE_CODE = Agent("claude-code", WireFormat.ANTHROPIC, 0, _claude_code, "claude-code", _result)
CODEX = Agent("codex", WireFormat.RESPONSES, 0, _codex, "codex", _message, "cmd")
OPENCODE_ANTHROPIC = Agent(
    "opencode-anthropic", WireFormat.ANTHROPIC, 1, _opencode("@ai-sdk/anthropic"), "opencode", _part
)
OPENCODE_OPENAI = Agent(
    "opencode-openai", WireFormat.OPENAI, 1, _opencode("@ai-sdk/openai-compatible"), "opencode", _part
)
OPENCODE_RESPONSES = Agent(
    "opencode-responses", WireFormat.RESPONSES, 1, _opencode("@ai-sdk/openai"), "opencode", _part
)
QWEN_ANTHROPIC = Agent("qwen-anthropic", WireFormat.ANTHROPIC, 0, _qwen_code("anthropic"), "claude-code", _result)
QWEN_OPENAI = Agent("qwen-openai", WireFormat.OPENAI, 0, _qwen_code("openai"), "openai", _result)

CLINE = Agent("cline", WireFormat.OPENAI, 0, _cline, "cline", _run_result, command="commands")

AGENTS = (
    CLAUDE_CODE,
    CLINE,
    CODEX,
    OPENCODE_ANTHROPIC,
    OPENCODE_OPENAI,
    OPENCODE_RESPONSES,
    QWEN_ANTHROPIC,
    QWEN_OPENAI,
)
