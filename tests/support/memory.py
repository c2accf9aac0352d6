"""How much a block of a test made this process grow."""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Growth:
    """Mebibytes of resident memory beyond what there was at the start; final once the block has ended."""

    def __init__(self) -> None:
        gc.collect()
        self._start = _resident()
        self.mib = 0.0

    def measure(self) -> None:
        self.mib = max(self.mib, (_resident() - self._start) / 2**20)


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except FileNotFoundError:  # macOS knows only the peak, in bytes: growth is then never told too small
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def resident_growth() -> Iterator[Growth]:
    """Measure at the end of the block, and wherever the block says `measure()`."""
    growth = Growth()
    yield growth
    growth.measure()
