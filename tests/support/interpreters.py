"""
Runs the unit tests on every other Python of this machine that is new enough: `make interpreters`.

Not a test module: a program that the Makefile starts with the main environment's interpreter. For each other version
it makes an environment beside the main one, `.venv-3.x`, from the same hash-checked lock, and prints one line.
Exit code: 0 all passed or none was found, 1 otherwise.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements-dev.lock"
MINORS = range(11, 16)
OWN = sys.version_info[:2]
PYTEST = ("-m", "pytest", "-q", "-x", "-n", "2", "-m", "not soak", "-p", "no:cacheprovider", "tests/unit")
PROBE = "import json, sys; print(json.dumps([*sys.version_info[:4], sys.implementation.name, sys.executable]))"
PROBE_SECONDS, INSTALL_SECONDS, TEST_SECONDS = 20, 600, 1200

# A venv's or pyenv's own variables would make one interpreter answer for another.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"}
}


@dataclass(frozen=True)
class Interpreter:
    """One that really runs."""

    path: Path
    version: tuple[int, int, int]

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    def __str__(self) -> str:
        return f"python {'.'.join(map(str, self.version))}"


class Unusable(Exception):
    """An environment cannot be made for a reason that is this machine's, not ours."""


class Failed(Exception):
    """The packages do not install, or the tests do not pass."""


def main() -> int:
    """Test on each; return the exit code."""
    interpreters = found()
    if not interpreters:
        print(f"interpreters: no Python 3.11 or newer found here besides {OWN[0]}.{OWN[1]}")
    failures = 0
    for interpreter in interpreters:
        started = time.monotonic()
        try:
            outcome = tested(interpreter)
        except Unusable as reason:
            outcome = f"skipped: {reason}"
        except Failed as reason:
            failures += 1
            outcome = f"FAILED: {reason}"
        print(f"{interpreter} ({time.monotonic() - started:.0f} s): {outcome}", flush=True)
    return 1 if failures else 0


def found() -> list[Interpreter]:
    """Return the newest of each minor version but the one that runs this."""
    newest: dict[str, Interpreter] = {}
    for path in dict.fromkeys(candidates()):
        interpreter = probed(path)
        if interpreter is None or interpreter.version[:2] == OWN or interpreter.version[1] not in MINORS:
            continue
        known = newest.get(interpreter.minor)
        if known is None or known.version < interpreter.version:
            newest[interpreter.minor] = interpreter
    return sorted(newest.values(), key=lambda each: each.version)


def candidates() -> Iterator[Path]:
    """Yield what may be an interpreter: on the PATH, in the usual places, in pyenv's and uv's directories."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    places = [Path(each) for each in os.environ.get("PATH", "").split(os.pathsep) if each]
    places += [Path("/usr/bin"), Path("/usr/local/bin"), Path("/opt/homebrew/bin")]
    for minor in MINORS:
        names = [place / f"python3.{minor}" for place in places]
        names += pyenv.glob(f"versions/3.{minor}*/bin/python3.{minor}")
        names += home.glob(f".local/share/uv/python/cpython-3.{minor}*/bin/python3.{minor}")
        yield from (path for path in names if os.access(path, os.X_OK))


def probed(path: Path) -> Interpreter | None:
    """Ask an interpreter what it is; None for a shim of a version that is not there, a pre-release or another kind."""
    try:
        answer = run(path, "-I", "-c", PROBE, seconds=PROBE_SECONDS)
        major, minor, micro, level, kind, executable = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if level != "final" or kind != "cpython":
        return None
    return Interpreter(Path(executable), (major, minor, micro))


def tested(interpreter: Interpreter) -> str:
    """Return pytest's closing words; raises Unusable or Failed."""
    environment = ROOT / f".venv-{interpreter.minor}"
    python = environment / "bin" / "python"
    stamp = environment / ".installed"
    wanted = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(interpreter).encode())
    if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
        stamp.unlink(missing_ok=True)
        make(interpreter, environment)
        install(python)
        stamp.write_text(wanted.hexdigest())
    answer = run(python, *PYTEST, seconds=TEST_SECONDS)
    if answer.returncode != 0:
        raise Failed(f"pytest ended with {answer.returncode}\n{answer.stdout[-8000:]}{answer.stderr[-2000:]}")
    return re.sub(r" in [\d.]+s.*", "", answer.stdout.strip().splitlines()[-1])


def make(interpreter: Interpreter, environment: Path) -> None:
    """Make an empty environment in place of what is there."""
    answer = run(interpreter.path, "-m", "venv", "--clear", environment, seconds=INSTALL_SECONDS)
    if answer.returncode != 0:
        words = (answer.stdout + answer.stderr).strip().splitlines() or [""]
        raise Unusable(f"no environment could be made ({words[0]})")


def install(python: Path) -> None:
    """Install what the main environment has, as the Makefile does."""
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    for what in (("--require-hashes", "-r", LOCK), ("--no-build-isolation", "-e", ROOT)):
        answer = run(python, *pip, *what, seconds=INSTALL_SECONDS)
        if answer.returncode != 0:
            raise Failed(f"the packages do not install\n{answer.stderr[-4000:]}")


def run(*command: str | Path, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command from the project's root; its end by time counts as a failure of the command."""
    try:
        return subprocess.run(
            [str(each) for each in command],
            cwd=ROOT,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"took longer than {seconds:g} s")


if __name__ == "__main__":
    sys.exit(main())
