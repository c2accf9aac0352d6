"""What the numbers were measured on: machine, kernel, versions, commit. Names no host and no user."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Final

from bench.peers import VERSIONS
from bench.places import PROJECT

_PACKAGES: Final = ("litestar", "uvicorn", "uvloop", "httptools", "httpx2", "msgspec")


def _first_line(*command: str) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False, cwd=PROJECT)
    text = (done.stdout + done.stderr).strip()
    return text.splitlines()[0] if text else None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory() -> str:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 1024 / 1024:.0f} GB"
    return "unknown"


def _python(program: str) -> str | None:
    return _first_line(program, "-c", "import platform; print(platform.python_version())")


def describe() -> dict[str, str]:
    """Return name -> value, in the order of the report."""
    # Says whether CPython's own switch was used; distributions optimise by means of their own.
    optimised = (
        "PGO" if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "") else "no PGO switch"
    )
    seen = {
        "machine": f"{os.cpu_count()} cores of {_processor()}, {_memory()}",
        "kernel": platform.release(),
        "commit": _first_line("git", "rev-parse", "--short", "HEAD") or "unknown",
        "Python": f"{platform.python_version()} ({optimised})",
        "Python of the distribution": _python("/usr/bin/python3"),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "haproxy": _first_line("haproxy", "-v"),
        "nginx": _first_line("nginx", "-v"),
        "Node": _first_line("node", "-v"),
        "C compiler": _first_line("cc", "--version"),
        **{name: version() for name, version in VERSIONS.items()},
    }
    return {name: value for name, value in seen.items() if value is not None}


def others(seconds: float) -> float:
    """
    Return how busy the cores are, 0 to 1, while nothing of ours runs.

    Two cores are often two threads of one: other work on either then slows the gateway by up to a factor of two, and
    haproxy less, because its measures keep both cores busy anyway.
    """
    before = _ticks()
    time.sleep(seconds)
    busy, total = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return busy / total if total else 0.0


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def autogroup() -> bool:
    """Say whether the kernel shares cores between sessions first."""
    try:
        return Path("/proc/sys/kernel/sched_autogroup_enabled").read_text().strip() == "1"
    except OSError:
        return False


def usable() -> str | None:
    """Return why this machine cannot run the bench, or None."""
    if sys.platform != "linux":
        return "the bench reads Linux's scheduler: run it on Linux"
    if len(os.sched_getaffinity(0)) < 2:
        return "two cores are needed: one for the gateway, one for the load generator and the upstream"
    if shutil.which("taskset") is None:
        return "taskset is needed: apt-get install util-linux"
    return None
