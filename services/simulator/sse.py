"""Spells server-sent events, properly or in one of the ways that a reader must survive as well. Pure."""

from collections.abc import Iterable, Iterator
from itertools import cycle

from services.simulator.script import Script

_NEWLINES = {"lf": (b"\n",), "crlf": (b"\r\n",), "cr": (b"\r",), "mixed": (b"\n", b"\r\n", b"\r")}


def spell(events: Iterable[tuple[str | None, bytes]], script: Script) -> Iterator[bytes]:
    """Return one frame per event, given its name (None: no `event:` line) and its payload."""
    kind = next((word for word in ("crlf", "cr", "mixed") if word in script.sse), "lf")
    newlines = cycle(_NEWLINES[kind])
    colon = b":" if "nospace" in script.sse else b": "
    named = "no-event-lines" not in script.quirks
    opening = b"\xef\xbb\xbf" if "bom" in script.sse else b""
    for number, (name, payload) in enumerate(events):
        lines: list[bytes] = []
        if "comments" in script.sse:
            lines.append(b": simulated comment")
        if name is not None and named:
            lines.append(b"event" + colon + name.encode())
        if "id" in script.sse:
            lines.append(b"id" + colon + str(number).encode())
        lines += (b"data" + colon + line for line in _data_lines(payload, script))
        newline = next(newlines)
        yield opening + newline.join([*lines, b"", b""])
        opening = b""


def _data_lines(payload: bytes, script: Script) -> list[bytes]:
    """Cut a payload into two data lines, where asked: JSON may hold a newline after its first brace."""
    if "multiline" in script.sse and payload.startswith(b"{"):
        return [payload[:1], payload[1:]]
    return [payload]
