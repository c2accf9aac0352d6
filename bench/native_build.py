"""Compiles the load generator, the mock upstream, and the switch of the counter of instructions."""

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
    return {name: _compiled(name, sources) for name, sources in _PROGRAMS.items()}


def build_switch() -> Path:
    """Return the library that switches callgrind; it wants valgrind's header, which comes with the program."""
    return _compiled("instrument.so", ("instrument.c",), "-shared", "-fPIC")


def _compiled(name: str, sources: tuple[str, ...], *flags: str) -> Path:
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("a C compiler is needed: apt-get install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in NATIVE.iterdir())
    if not target.exists() or target.stat().st_mtime < newest:
        command = [compiler, *_FLAGS, *flags, "-o", target, *(NATIVE / source for source in sources)]
        subprocess.run(command, check=True)
    return target
