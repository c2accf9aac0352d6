"""
What start-up built, on pages of 2 MiB, where Linux can do that.

A gateway that is asked now and then finds the processor's caches cold, also those that tell where a page of memory is:
a small request looks at objects on some hundred pages of 4 KiB. On large pages there is less to look up. Asked for
once, when all is imported and nothing is served yet; what is allocated later stays as the kernel sees fit.
"""

import contextlib
import ctypes
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PAGE: Final = 2 * 1024 * 1024
_COLLAPSE: Final = 25  # madvise(2), MADV_COLLAPSE, since Linux 6.1
_SMAPS: Final = Path("/proc/self/smaps")
_MAPPING: Final = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ 0 *(?:\[heap\])?\n"  # anonymous: neither a file's nor a stack
    r"(?:\w+:.*\n)*?Rss: +(\d+) kB$",
    re.MULTILINE,
)


def use_large_pages() -> int:
    """Move this process's memory to large pages; returns how many bytes it was asked for. Best effort."""
    if sys.platform != "linux":
        return 0
    asked = 0
    with contextlib.suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for start, size in worthwhile(_SMAPS.read_text(encoding="utf-8")):
            if madvise(start, size, _COLLAPSE) == 0:
                asked += size
    return asked


def worthwhile(smaps: str) -> Iterator[tuple[int, int]]:
    """
    Return the stretches, by address and bytes, that are whole large pages and in use already for the most part.

    `smaps` is the text of proc(5). Of a stretch that is hardly used, a stack's or a reserve's, nothing would be gained
    and memory would be taken.
    """
    for found in _MAPPING.finditer(smaps):
        start, end, resident = int(found[1], 16), int(found[2], 16), int(found[3]) * 1024
        first, last = -(-start // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if first < last and 2 * resident >= end - start:
            yield first, last - first
