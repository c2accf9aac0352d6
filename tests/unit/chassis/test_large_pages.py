"""Memory that start-up built is moved to large pages: what is in use, and nothing that is not."""

import platform
import subprocess
import sys

import pytest

from services.chassis.large_pages import worthwhile

_MEGABYTE = 1024 * 1024
_KILOBYTES = (
    "Size: {size} kB\nKernelPageSize:        4 kB\nRss: {rss:>15} kB\nPss: {rss} kB\nVmFlags: rd wr mr mw me ac\n"
)


def mapping(start: int, size: int, *, rss: int, kind: str = "rw-p 00000000 00:00 0", name: str = "") -> str:
    """Return one mapping of proc(5), sizes in bytes."""
    head = f"{start:x}-{start + size:x} {kind} {name:>20}\n" if name else f"{start:x}-{start + size:x} {kind} \n"
    return head + _KILOBYTES.format(size=size // 1024, rss=rss // 1024)


def test_whole_large_pages_of_what_is_in_use_are_named() -> None:
    start = 0x7F4A_7FC1_F000  # 4 KiB beyond a boundary, as the kernel gives them
    smaps = mapping(start, 7 * _MEGABYTE, rss=6 * _MEGABYTE)

    [(first, size)] = worthwhile(smaps)

    assert first % (2 * _MEGABYTE) == 0
    assert (first >= start, first + size <= start + 7 * _MEGABYTE) == (True, True)
    assert size == 4 * _MEGABYTE


def test_each_mapping_is_judged_by_its_own_figures() -> None:
    at = 2 * _MEGABYTE
    used = mapping(10 * at, 4 * _MEGABYTE, rss=4 * _MEGABYTE)
    heap = mapping(20 * at, 2 * _MEGABYTE, rss=2 * _MEGABYTE, name="[heap]")
    unused = mapping(30 * at, 8 * _MEGABYTE, rss=_MEGABYTE)

    assert list(worthwhile(unused + used + unused + heap)) == [(10 * at, 4 * _MEGABYTE), (20 * at, 2 * _MEGABYTE)]


@pytest.mark.parametrize(
    "other",
    [
        mapping(0, _MEGABYTE, rss=_MEGABYTE),  # smaller than a page
        mapping(4096, 3 * _MEGABYTE, rss=3 * _MEGABYTE),  # with no boundary at which a whole one would begin
        mapping(0, 8 * _MEGABYTE, rss=8 * _MEGABYTE, name="[stack]"),
        mapping(0, 8 * _MEGABYTE, rss=8 * _MEGABYTE, kind="r-xp 00000000 00:00 0"),
        mapping(0, 8 * _MEGABYTE, rss=8 * _MEGABYTE, kind="rw-s 00000000 00:00 0"),
        mapping(0, 8 * _MEGABYTE, rss=8 * _MEGABYTE, kind="rw-p 00000000 fd:00 1234", name="/usr/lib/some.so"),
        "",
        "no such text\n",
    ],
)
def test_nothing_else_is(other: str) -> None:
    assert list(worthwhile(other)) == []


_PROGRAM = """
import pathlib, re
from services.chassis.large_pages import use_large_pages
kept = [bytearray(64) for _ in range(200_000)]
asked, smaps = use_large_pages(), pathlib.Path("/proc/self/smaps_rollup")
has = re.search(r"AnonHugePages: +(\\d+)", smaps.read_text())[1] if smaps.exists() else 0
print(asked, int(has) * 1024, len(kept))
"""


def test_a_process_gets_what_it_asked_for() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    asked, has, _ = map(int, done.stdout.split())
    version = tuple(map(int, platform.release().split(".")[:2]))

    assert has >= asked
    assert (asked > 0) == (sys.platform == "linux" and version >= (6, 1))  # older ones have no such call
