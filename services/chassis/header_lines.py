"""HTTP headers as the lines of a head. Pure."""

from collections.abc import Sequence
from typing import Final

_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t"))
_line_of: Final = b": ".join


def header_lines(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return names and values as lines; raises ValueError where one holds a line break or another control character."""
    lines = b"\r\n".join([*map(_line_of, pairs), b""])
    if len(lines.translate(None, _CONTROLS)) != len(lines) - 2 * len(pairs):  # two in each line are ours
        raise ValueError("a header holds a line break or a control character")
    return lines
