"""
How a process speaks: JSON lines for collectors, plain lines for people, and a second net under secrets.

Records are built from an allow-list of fields; no body, header or query is ever a field (promises.md C12).
The redactor below is not the way secrets are kept out, it is what catches a mistake.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

_QUIET: Final = ("httpx2", "httpcore2", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "hpack", "asyncio")

# Our own client keys, JWTs, Z.AI's id.secret keys, and bearer tokens in prose.
_SHORTEST_SECRET: Final = 18

_SECRETS: Final = re.compile(
    r"zrp_[a-z2-7]{12}_[A-Za-z0-9]{43}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\b[0-9a-f]{32}\.[A-Za-z0-9]{12,}\b"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{12,}"
)


def redacted(text: str) -> str:
    """Replace whatever looks like a secret."""
    return _SECRETS.sub("[redacted]", text)


def vetted(value: str | None) -> str | None:
    """Return a field that came from outside, with what looks like a secret replaced; short words cannot hold one."""
    return value if value is None or len(value) < _SHORTEST_SECRET else redacted(value)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, event, logger, and the fields of a request record."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        fields: dict[str, Any] = {
            "ts": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
            fields["traceback"] = self.formatException(record.exc_info)
        line = msgspec.json.encode(fields).decode()
        # The search costs four times the rest of a line; a record made of vetted fields does without it.
        return line if getattr(record, "vetted", False) else redacted(line)


class ConsoleFormatter(logging.Formatter):
    """For people: time, level, text, and the fields that are set."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        rest = "".join(f" {name}={value}" for name, value in fields.items() if value not in (None, "", 0, ()))
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()}{rest}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redacted(line)


class LineHandler(logging.Handler):
    """Writes lines to a stream: one by one, or all that come inside `together` in one piece."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._held: list[str] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or keep it for the end of `together`."""
        try:
            line = self.format(record)
            if self._held is None:
                self._write(line)
            else:
                self._held.append(line)
        except Exception:  # noqa: BLE001  # logging never takes down what it watches
            self.handleError(record)

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is logged meanwhile with one call to the system; for one thread only."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                self._write("\n".join(held))


@contextmanager
def lines_together() -> Iterator[None]:
    """Write what is logged meanwhile in one piece, where the process was set up by `set_up`."""
    with ExitStack() as stack:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LineHandler):
                stack.enter_context(handler.together())
        yield


def set_up(level: str, style: str, stream: TextIO = sys.stderr) -> None:
    """Send every logger's records to one stream; `style` is json, console or auto (console on a terminal)."""
    json_lines = style == "json" or (style == "auto" and not stream.isatty())
    handler = LineHandler(stream)
    handler.setFormatter(JsonFormatter() if json_lines else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
