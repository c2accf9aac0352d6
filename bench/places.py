"""Where the bench reads and writes. Everything under `build/` is ignored by git and may be deleted."""

from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PROJECT: Final = HERE.parent
NATIVE: Final = HERE / "native"
BUILD: Final = HERE / "build"
PEERS: Final = BUILD / "peers"
RUN: Final = BUILD / "run"  # configurations and logs of one session
RESULTS: Final = HERE / "results"
REPORT: Final = HERE / "RESULTS.md"
PLOT: Final = HERE / "results.png"
