"""
How a process speaks: JSON lines for collectors, plain lines for people, and a second net under secrets.

Records are built from an allow-list of fields; no body, header or query is ever a field (promises.md C12).
The redactor below is not the way secrets are kept out, it is what catches a mistake.
"""

import functools
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

_QUIET: Final = ("httpx2", "httpcore2", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "hpack", "asyncio")

# Our own client keys, JWTs, Z.AI's id.secret keys, and bearer tokens in prose.
_SHORTEST_SECRET: Final = 18

Fields = Mapping[str, Any] | msgspec.Struct
Entry = tuple[float, Fields]  # seconds since the epoch, and the fields of a line

_SECRETS: Final = re.compile(
    r"zrp_[a-z2-7]{12}_[A-Za-z0-9]{43}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
    r"|\b[0-9a-f]{32}\.[A-Za-z0-9]{12,}\b"
    r"|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{12,}"
)

_encoder: Final = msgspec.json.Encoder()
_THOUSANDTHS: Final = tuple(f".{number:03}" for number in range(1000))  # written once, not in every line
_WORD: Final = re.compile(r"[A-Za-z0-9_.:-]{1,24}")


def redacted(text: str) -> str:
    """Replace whatever looks like a secret."""
    return _SECRETS.sub("[redacted]", text)


def vetted(value: str | None) -> str | None:
    """Return a field that came from outside, with what looks like a secret replaced; short words cannot hold one."""
    if value is None or len(value) < _SHORTEST_SECRET or value.replace("-", "").isalnum():
        return value  # every secret has a dot, a low line or a blank
    return redacted(value)


def word(value: str | None) -> str | None:
    """Return a code that came from outside if it is a short word, else that it is none: it may hold a text."""
    return value if value is None or _WORD.fullmatch(value) else "[not a code]"


@functools.lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def _moment(seconds: float) -> str:
    whole = int(seconds)
    return _second(whole) + _THOUSANDTHS[int((seconds - whole) * 1000)]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, event, logger, and the fields of a request record."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        fields: dict[str, Any] = {
            "ts": f"{_moment(record.created)}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[0] is not None:
            fields["error"] = record.exc_info[0].__name__
            fields["traceback"] = self.formatException(record.exc_info)
        return redacted(msgspec.json.encode(fields).decode())

    @staticmethod
    def lines(logger: str, event: str, entries: Sequence[Entry]) -> str:
        """Return the lines of INFO records that are made of vetted fields, without the search of the whole."""
        head = f'Z","level":"info","logger":"{logger}","event":"{event}",'
        bodies = _encoder.encode_lines([fields for _, fields in entries]).decode().split("\n")
        pairs = zip(entries, bodies, strict=False)  # behind the last line is nothing
        return "\n".join([f'{{"ts":"{_moment(created)}{head}{body[1:]}' for (created, _), body in pairs])


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


class CompactFormatter(ConsoleFormatter):
    """For people who watch: a request is one short line, everything else as on the console."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        if record.exc_info or "total_ms" not in fields:
            return super().format(record)
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        return redacted(f"{clock} {' '.join(_compact(fields))}")


def _compact(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of a request's short line: how it ended, what it was, how long it took, what it cost."""
    yield str(fields.get("status"))
    yield f"{fields.get('route')} {fields.get('model') or '-'}"
    if fields.get("cancelled"):
        yield "client left"
    elif fields.get("code") or fields.get("upstream_code"):
        yield " ".join(str(code) for code in (fields.get("code"), fields.get("upstream_code")) if code)
    first = fields.get("first_byte_ms")
    yield f"{fields['total_ms'] / 1000:.2f}s" + ("" if first is None else f" (first {first / 1000:.2f}s)")
    if fields.get("output_tokens") is not None:
        cached = fields.get("cached_tokens")
        yield f"in {fields.get('input_tokens') or 0}{f'+{cached}' if cached else ''} out {fields['output_tokens']}"
    if fields.get("attempts", 1) > 1:
        yield f"{fields['attempts']} tries"
    yield f"[{fields.get('key_id')}] {fields.get('request_id')}"


class LineHandler(logging.Handler):
    """Writes lines to a stream: one by one, or all that come inside `together` in one piece."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._write(self.format(record))
        except Exception:  # noqa: BLE001  # logging never takes down what it watches
            self.handleError(record)

    def emit_all(self, logger: str, event: str, entries: Sequence[Entry]) -> bool:
        """Write many lines of vetted fields with one call to the system; False if the lines are not JSON."""
        formatter = self.formatter
        if not isinstance(formatter, JsonFormatter):
            return False
        try:
            self._write(formatter.lines(logger, event, entries))
        except Exception:  # noqa: BLE001  # as above
            self.handleError(_record(logger, event, *entries[0]))
        return True

    def _write(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()


def _record(logger: str, event: str, created: float, fields: Fields) -> logging.LogRecord:
    record = logging.LogRecord(logger, logging.INFO, "", 0, event, (), None)
    record.created = created
    record.fields = msgspec.structs.asdict(fields) if isinstance(fields, msgspec.Struct) else fields
    return record


def log_all(logger: logging.Logger, event: str, entries: Sequence[Entry]) -> None:
    """
    Log many INFO records of vetted fields at once: where the process was set up by `set_up`, without a record for
    each, because that costs as much as the work it tells of.
    """
    if not entries:
        return
    root = logging.getLogger()
    swift = {handler for handler in root.handlers if isinstance(handler, LineHandler)}
    swift = {handler for handler in swift if handler.emit_all(logger.name, event, entries)}
    if len(swift) == len(root.handlers) and not logger.handlers:
        return
    for created, fields in entries:
        record = _record(logger.name, event, created, fields)
        for handler in (*logger.handlers, *root.handlers):
            if handler not in swift:
                handler.handle(record)


_FORMATTERS: Final = {"json": JsonFormatter, "console": ConsoleFormatter, "compact": CompactFormatter}
_LEVELS: Final = {"trace": logging.DEBUG, "silent": logging.CRITICAL + 1}  # words of the seed's that Python lacks


def set_up(level: str, style: str, stream: TextIO = sys.stderr) -> None:
    """
    Send every logger's records to one stream.

    `style` is json, console (every field), compact (a short line for a request) or auto (compact on a terminal).
    """
    chosen = ("compact" if stream.isatty() else "json") if style == "auto" else style
    handler = LineHandler(stream)
    handler.setFormatter(_FORMATTERS[chosen]())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(level, level.upper()))
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
