"""The command line run inside this process (`cli`) and as a process of its own (`run`), both in an empty directory."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.app import app

ROOT = Path(__file__).parents[3]
OURS = ("ZCODE_", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "OTEL_", "NO_COLOR", "FORCE_COLOR")

Cli = Callable[..., Result]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment without our variables, and with a store that is not the developer's own."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(OURS)}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"HOME": str(Path.cwd())}
    return kept | own | {"PYTHONPATH": path, "COLUMNS": "120"} | extra


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.upper().startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def cli() -> Cli:
    def invoke(*argv: str, **environ: str) -> Result:
        return CliRunner().invoke(app, argv, env=environ, prog_name="zcode-proxy")

    return invoke


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def start(*argv: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "services", *argv],
            cwd=tmp_path,
            env=clean_environment(**environ),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return start
