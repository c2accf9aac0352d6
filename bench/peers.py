"""
Other gateways that install from public registries, pinned to the versions that were looked at.

They are installed under `build/` without running install scripts. Each is set up as its own documentation says, without
telemetry, with one worker and as little logging as it offers. What is missing or does not start is left out, with the
reason in the report.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.places import BUILD, PEERS, PROJECT, RUN
from bench.processes import Process, free_port
from bench.requests import CLIENT_KEY, MODEL, UPSTREAM_KEY
from bench.subjects import Server, Subject, clean_environment

CCR: Final = "2.0.0"
PORTKEY: Final = "1.15.2"
LITELLM: Final = "1.106.2"  # never newer without a look: 1.107.0 was reported as compromised

_NPM: Final = f"@musistudio/claude-code-router@{CCR}", f"@portkey-ai/gateway@{PORTKEY}"
_INSTALL_SECONDS: Final = 420


class Unavailable(Exception):
    """A peer cannot be installed here; the message says why."""


def _run(command: list[str | Path], log: Path) -> None:
    try:
        with log.open("wb") as out:
            # Elsewhere, because uv would take this project's own rules of resolution for those of a peer.
            subprocess.run(
                command, check=True, stdout=out, stderr=out, timeout=_INSTALL_SECONDS, cwd=tempfile.gettempdir()
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{command[0]} failed: {error.__class__.__name__}; see {log.relative_to(PROJECT)}") from None


def _node() -> str:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        raise Unavailable("node and npm are not installed")
    return node


def _npm_package(name: str, entry: str) -> Path:
    program = PEERS / "node_modules" / name / entry
    if not program.exists():
        _node()
        PEERS.mkdir(parents=True, exist_ok=True)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix", PEERS]
        _run(["npm", "install", *options, *_NPM], PEERS / "npm.log")
    return program


def _python_environment(folder: Path, python: str, arguments: list[str | Path], proof: str) -> Path:
    """Make a virtual environment with the project's uv; returns `proof` in its bin folder."""
    program = folder / "bin" / proof
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_suffix(".log")
        _run([uv, "venv", "--quiet", "--clear", "--python", python, folder], log)
        _run([uv, "pip", "install", "--quiet", "--python", folder / "bin" / "python", *arguments], log)
    return program


def debian_python() -> Path | None:
    """Return an interpreter of the distribution with the gateway's dependencies; None where it is this very one."""
    system = Path("/usr/bin/python3")
    if not system.exists() or system.resolve() == Path(sys.executable).resolve():
        return None
    lock = PROJECT / "requirements.lock"
    arguments: list[str | Path] = ["--require-hashes", "--no-deps", "-r", lock]
    try:
        python = _python_environment(BUILD / "debian", str(system), arguments, "python")
        if not list((BUILD / "debian").glob("lib/*/site-packages/zcode_proxy-*")):
            own: list[str | Path] = ["uv", "pip", "install", "--quiet", "--no-deps", "--python", python, "-e", PROJECT]
            _run([Path(sys.executable).with_name("uv"), *own[1:]], BUILD / "debian.log")
    except Unavailable:
        return None
    return python


class ClaudeCodeRouter(Server):
    """Anthropic clients, OpenAI upstream."""

    def start(self) -> Process:
        """Return a process to be entered."""
        program = _npm_package("@musistudio/claude-code-router", "dist/cli.js")
        port = free_port()
        home = RUN / self.name
        folder = home / ".claude-code-router"
        folder.mkdir(parents=True, exist_ok=True)
        provider = {
            "name": "mock",
            "api_base_url": f"http://127.0.0.1:{self.mock}/v1/chat/completions",
            "api_key": UPSTREAM_KEY,
            "models": [MODEL],
        }
        settings = {
            "LOG": False,
            "APIKEY": CLIENT_KEY,
            "HOST": "127.0.0.1",
            "PORT": port,
            "NON_INTERACTIVE_MODE": True,
            "Providers": [provider],
            "Router": {"default": f"mock,{MODEL}"},
        }
        (folder / "config.json").write_text(json.dumps(settings))
        environment = clean_environment(HOME=str(home), SERVICE_PORT=str(port), NODE_ENV="production")
        return Process([_node(), program, "start"], port, self.log, environment=environment, directory=home)


class Portkey(Server):
    """OpenAI passed through; the client brings the upstream's key, for it keeps none."""

    def start(self) -> Process:
        """Return a process to be entered."""
        program = _npm_package("@portkey-ai/gateway", "build/start-server.js")
        port = free_port()
        environment = clean_environment(NODE_ENV="production")
        command = [_node(), program, f"--port={port}", "--headless"]
        return Process(command, port, self.log, environment=environment, directory=PEERS)


class LiteLLM(Server):
    """OpenAI clients, Anthropic upstream."""

    def start(self) -> Process:
        """Return a process to be entered."""
        python = os.path.realpath(sys.executable)
        program = _python_environment(
            PEERS / "litellm", python, ["--exclude-newer", "1 week", f"litellm[proxy]=={LITELLM}"], "litellm"
        )
        port = free_port()
        config = self.file("config.yaml", _LITELLM)
        environment = clean_environment(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOG="ERROR")
        command = [program, "--config", config, "--host", "127.0.0.1", "--port", port, "--telemetry", "False"]
        return Process(
            [*command, "--num_workers", "1"], port, self.log, environment=environment, directory=RUN, wait=90.0
        )


_LITELLM: Final = """
model_list:
  - model_name: glm-4.6
    litellm_params: {{model: anthropic/glm-4.6, api_base: "http://127.0.0.1:{mock}", api_key: {upstream}}}
general_settings: {{master_key: {client}}}
litellm_settings: {{telemetry: false, drop_params: true}}
"""


def _portkey_headers(mock: int) -> dict[str, str]:
    return {"x-portkey-provider": "openai", "x-portkey-custom-host": f"http://127.0.0.1:{mock}/v1"}


def peers(mock: int) -> list[Subject]:
    """Return the other gateways."""
    portkey = Subject(
        "portkey",
        f"Portkey {PORTKEY}, OpenAI passed through",
        Portkey("portkey", mock),
        "openai",
        key=UPSTREAM_KEY,
        headers=_portkey_headers(mock),
        streams=False,  # it answers streams on Node with 500
    )
    ccr = ClaudeCodeRouter("ccr", mock)
    litellm = LiteLLM("litellm", mock)
    return [
        Subject("ccr", f"claude-code-router {CCR}, Anthropic to OpenAI", ccr, "anthropic", translates=True),
        portkey,
        Subject("litellm", f"LiteLLM {LITELLM}, OpenAI to Anthropic", litellm, "openai", translates=True),
    ]


VERSIONS: Final[dict[str, Callable[[], str]]] = {
    "claude-code-router": lambda: CCR,
    "Portkey": lambda: PORTKEY,
    "LiteLLM": lambda: LITELLM,
}
