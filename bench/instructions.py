"""
What one request costs in instructions: `python -m bench.instructions aa-json aa-stream oa-large`.

The gateway's data path (`data_path`) under callgrind (Debian's `valgrind`). The count is the same to a percent whatever
else the machine does, so it decides where a timed comparison cannot. It leaves out the kernel and the event loop's
work on sockets, a third of a small request.

`--cold` counts something else: the lines of 64 bytes, of code and of data, that one request looks at. On a machine with
time between two requests the caches have forgotten most of them, and each is then fetched anew: at 100 requests a
second that is most of a request's time.
"""

import argparse
import ctypes
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop

from bench import places
from bench.data_path import DataPath
from bench.native_build import build_switch
from services.chassis.logs import set_up
from services.chassis.process import freeze_garbage

_REQUESTS: Final = 200
_WARM: Final = 300
# Caches that hold everything: what misses is looked at for the first time.
_CACHES: Final = ("--cache-sim=yes", "--I1=8388608,16,64", "--D1=8388608,16,64", "--LL=67108864,16,64")


async def _counted(kind: str, requests: int) -> None:
    switch = ctypes.CDLL(str(build_switch()))
    on, off = switch.instrument_on, switch.instrument_off
    with tempfile.TemporaryDirectory() as folder:
        set_up("info", "json", io.StringIO())
        path = DataPath(kind, Path(folder))
        said = await path.serve()
        if not said.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"{kind}: {said[:200]!r}")
        for _ in range(_WARM):
            await path.serve()
        path.settle()
        freeze_garbage()
        on()
        for _ in range(requests):
            await path.serve()
        if requests > 1:
            path.settle()
        off()


def _valgrind(kind: str, *options: str) -> list[int]:
    """Return what callgrind collected."""
    out = places.BUILD / f"callgrind.{kind}"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    cold = ["--cold"] if options else []
    command = [*valgrind, *options, sys.executable, "-m", "bench.instructions", "--child", *cold, kind]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=places.PROJECT)
    found = re.search(r"Collected : ([\d ]+)", run.stderr)
    if run.returncode or found is None:
        raise SystemExit(f"{kind}: {run.stderr[-500:]}")
    return [int(number) for number in found[1].split()]


def _told(kind: str, *, cold: bool) -> str:
    if not cold:
        return f"{_valgrind(kind)[0] / _REQUESTS / 1000:8,.0f} thousand instructions a request"
    _, _, _, code, read, written, *_ = _valgrind(kind, *_CACHES)
    return f"{code + read + written:8,} lines of 64 bytes: {code:,} of code, {read:,} read, {written:,} written"


def main() -> None:
    """Count for each kind that is named."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["aa-json", "aa-stream", "aa-large", "oa-json", "ao-stream"])
    parser.add_argument("--cold", action="store_true", help="count lines of memory instead")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        uvloop.run(_counted(options.kinds[0], 1 if options.cold else _REQUESTS))
        return
    places.BUILD.mkdir(parents=True, exist_ok=True)
    build_switch()
    for kind in options.kinds:
        print(f"{kind:10} {_told(kind, cold=options.cold)}", flush=True)


if __name__ == "__main__":
    main()
