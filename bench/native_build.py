"""Compiles the load generator and the mock upstream."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from bench.places import BUILD, NATIVE

_PROGRAMS: Final = {"mock": ("mock.c", "answers.c"), "load": ("load.c", "answer.c")}
_FLAGS: Final = ("-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror")


class NoCompiler(Exception):
    """Neither $CC nor cc nor gcc is here."""


def build() -> dict[str, Path]:
    """Compile what is older than its sources; returns name -> program."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("a C compiler is needed: apt-get install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    newest = max(path.stat().st_mtime for path in NATIVE.iterdir())
    programs = {}
    for name, sources in _PROGRAMS.items():
        target = programs[name] = BUILD / name
        if not target.exists() or target.stat().st_mtime < newest:
            subprocess.run([compiler, *_FLAGS, "-o", target, *(NATIVE / source for source in sources)], check=True)
    return programs
