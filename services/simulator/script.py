"""
What the simulator is told to do with one request, and the grammar it is written in.

    script  = [ item *( ";" item ) ]
    item    = key [ "=" value ]          a key without a value means 1

A key is a field of `Script` with "-" for "_". Values are percent-decoded. Durations are milliseconds unless they end in
ms, s or m; counts may end in k, m, g (powers of 1000) or ki, mi, gi (powers of 1024); lists are joined by "+".
README.md lists every key. Pure: no I/O.
"""

import re
import types
from typing import Final, Literal
from urllib.parse import unquote

import msgspec

ToolForm = Literal[
    "fragments",  # arguments in small pieces
    "whole",  # id, name and complete arguments in one delta
    "interleaved",  # fragments of all calls take turns
    "late-name",  # OpenAI: the name comes after the first arguments
    "late-id",  # OpenAI: the id comes after the first arguments
    "no-index",  # OpenAI: deltas without `index`
    "resend",  # OpenAI: the full arguments once more at the end
    "on-start",  # Anthropic: the input on content_block_start and no delta
    "empty",  # no arguments at all
    "broken",  # arguments that break off inside the JSON
]
Reasoning = Literal["none", "first", "interleaved", "only"]
UsagePlace = Literal["default", "finish", "chunk", "every", "null", "none", "estimate"]
AnswerKind = Literal["auto", "json", "sse", "html", "redirect", "empty", "garbage"]
ErrorPlace = Literal["status", "ok", "first", "mid"]
ErrorForm = Literal["default", "openai", "anthropic", "gateway", "typed", "number", "prefix", "detail", "empty"]
Phase = Literal["head", "body", "first-event", "mid-event", "end"]
Ending = Literal["proper", "fin", "rst", "half", "hang"]
FramingKind = Literal[
    "default",  # chunked for a stream, content-length for a batch answer
    "chunked",
    "length",
    "close",  # neither: the body ends with the connection
    "long",  # content-length promises 64 bytes more than come
    "short",  # content-length promises 8 bytes less than come
    "both",  # content-length and transfer-encoding
    "two-lengths",  # two different content-lengths
    "bad-chunk",  # a chunk size that is no number
    "bad-status",  # a status line that is none
]
Coding = Literal["identity", "auto", "gzip", "br", "zstd", "deflate"]
Bomb = Literal["none", "gzip", "line", "events", "headers"]
SseSpelling = Literal["crlf", "cr", "mixed", "nospace", "bom", "comments", "id", "multiline"]
Quirk = Literal[
    "no-done",  # no [DONE], no message_stop
    "no-event-lines",  # Anthropic frames without `event:`
    "no-object",  # OpenAI chunks without `object`
    "no-role",  # OpenAI: no role-only first chunk
    "role-everywhere",  # OpenAI: the role in every delta
    "repeat-id",  # OpenAI: id and name in every fragment of a tool call
    "index-from-1",  # the first tool call (OpenAI) or block (Anthropic) has index 1
    "no-signature",  # Anthropic: thinking blocks without `signature`
    "pings",  # Anthropic: a ping after every second event
]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """One scripted answer. Durations are seconds here, milliseconds in the grammar. The default is a plain answer."""

    # What is said. With none of text, events, tools and reasoning the answer is the demo's.
    text: str | None = None
    events: int | None = None  # so many one-word text deltas
    reasoning: Reasoning | None = None
    tools: int = 0  # so many tool calls, unless the last message already brings tool results
    tool_form: ToolForm = "fragments"
    finish: str | None = None  # sent as it stands, "null" for null; None: what fits the content
    usage: UsagePlace = "default"
    quirks: frozenset[Quirk] = frozenset()
    # How it is sent.
    answer: AnswerKind = "auto"  # auto: SSE for a stream, JSON else
    status: int | None = None
    pace: float | None = None  # between two events; None: at once
    delay: float = 0.0  # before the headers
    sse: frozenset[SseSpelling] = frozenset()
    encoding: Coding = "identity"  # auto: what accept-encoding offers
    framing: FramingKind = "default"
    split: int = 0  # bytes per write; 0: one write per event, or one for all
    informational: tuple[int, ...] = ()  # 1xx answers before the real one
    headers: int = 0  # bytes of one extra header
    header_count: int = 0  # extra headers
    # What goes wrong.
    error: str | None = None  # a code of upstream.md section 7, or an HTTP status
    at: ErrorPlace = "status"
    error_form: ErrorForm = "default"
    message: str | None = None
    reset: float = 7200.0  # until a limit that names its reset time is over
    after: int | None = None  # events before an error in mid-stream; None: half of them
    stall: Phase | None = None
    stall_for: float | None = None  # None: until the client goes
    cut: int | None = None  # bytes of the body that are sent
    cut_raw: int | None = None  # bytes of the whole answer that are sent, status line and all
    end: Ending | None = None  # None: proper, or fin after a cut
    bomb: Bomb = "none"
    size: int | None = None  # of the bomb: bytes, or events
    # The whole answer, byte for byte, or the body's pieces; for scripts made in process or sent as JSON (base64).
    raw: bytes | None = None
    frames: tuple[bytes, ...] | None = None


class ScriptError(ValueError):
    """A script that cannot be read; the message names the item."""


_DURATIONS: Final = frozenset({"pace", "delay", "reset", "stall-for"})
_COUNTS: Final = frozenset({"events", "tools", "status", "split", "headers", "header-count", "after"}) | frozenset(
    {"cut", "cut-raw", "size"}
)
_LISTS: Final = frozenset({"sse", "quirks", "informational"})
_UNITS: Final = types.MappingProxyType(
    {"": 1, "k": 1000, "m": 10**6, "g": 10**9, "ki": 1024, "mi": 1024**2, "gi": 1024**3}
)
_SECONDS: Final = types.MappingProxyType({"": 0.001, "ms": 0.001, "s": 1.0, "m": 60.0})
_COUNT: Final = re.compile(r"(\d+)([kmg]i?)?")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")


def parse(text: str) -> Script:
    """Read a script in the grammar above. Raises `ScriptError`."""
    fields: dict[str, object] = {}
    for item in filter(None, (part.strip() for part in text.split(";"))):
        key, _, value = item.partition("=")
        fields[key] = _value(key, unquote(value) or "1")
    try:
        return msgspec.convert(fields, Script, strict=False)
    except msgspec.ValidationError as error:
        raise ScriptError(f"script {text!r}: {error}") from error


def _value(key: str, value: str) -> object:
    if key in _DURATIONS:
        return _measure(key, value, _DURATION, _SECONDS)
    if key in _COUNTS:
        return int(_measure(key, value, _COUNT, _UNITS))
    if key in _LISTS:
        return value.split("+")
    return value


def _measure(key: str, value: str, pattern: re.Pattern[str], units: types.MappingProxyType[str, float]) -> float:
    match = pattern.fullmatch(value)
    if match is None:
        raise ScriptError(f"script item {key}={value}: not a number with a unit")
    return float(match[1]) * units[match[2] or ""]
