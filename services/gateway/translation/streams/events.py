"""
The few event types between an upstream's stream and a client's.

A reader (`read_openai`, `read_anthropic`) turns bytes into these; a writer (`write_openai`, `write_anthropic`) turns
these into the client's bytes and owns the client protocol's invariants. Batch answers are folded through the same
types, so that a stream and a batch cannot disagree.

Order a reader guarantees: `Start` first and once; then content, tools never interleaved (a `ToolArguments` belongs to
the last `ToolStart`, and a `ToolEnd` comes before any other content); `UsageSeen` (cumulative, the last one wins) and
`Ping` anywhere after `Start`; at the end exactly one of `Finish` then `End`, or one `Failed`. Nothing follows `End` or
`Failed`, and `Failed` may also be the only event.

Text is plain `str`: msgspec reads and writes a string as fast as it copies the raw literal (0.30 against 0.38 us per
frame here), and everything that has to look at text stays simple.
"""

from enum import StrEnum
from typing import final

import msgspec

from services.gateway.translation.fault import Fault


class StopReason(StrEnum):
    """Why the model stopped, in no dialect (translation.md A7)."""

    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOLS = "tools"
    REFUSAL = "refusal"
    PAUSE = "pause"
    CONTEXT_WINDOW = "context_window"


class Usage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Tokens, cumulative. `input` counts neither cache reads nor cache writes. None: the upstream has not said."""

    input: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None  # part of output


class Start(msgspec.Struct, frozen=True, gc=False):
    """The answer has begun."""

    id: str
    model: str  # the upstream's name for it


@final
class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """Some visible text."""

    text: str


@final
class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    """Some reasoning."""

    text: str


class ReasoningStart(msgspec.Struct, frozen=True, gc=False):
    """A new reasoning block, where the upstream draws that line; otherwise the writer draws it by kind."""


class Signature(msgspec.Struct, frozen=True, gc=False):
    """The signature of the reasoning block just read."""

    value: str


class RedactedReasoning(msgspec.Struct, frozen=True, gc=False):
    """An opaque reasoning block."""

    data: str


class ToolStart(msgspec.Struct, frozen=True, gc=False):
    """A tool call begins; id and name are final and in the client's spelling."""

    id: str
    name: str


@final
class ToolArguments(msgspec.Struct, frozen=True, gc=False):
    """A fragment of the JSON text of the call's arguments."""

    fragment: str


class ToolEnd(msgspec.Struct, frozen=True, gc=False):
    """The tool call is whole."""


class UsageSeen(msgspec.Struct, frozen=True, gc=False):
    """What the upstream counts so far."""

    usage: Usage


class Finish(msgspec.Struct, frozen=True, gc=False):
    """Why the model stopped; `stop_sequence` where the text is known, `refusal` where an explanation was given."""

    reason: StopReason
    stop_sequence: str | None = None
    refusal: str | None = None


class End(msgspec.Struct, frozen=True, gc=False):
    """The answer is complete."""


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The answer is broken and stays incomplete."""

    fault: Fault


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The upstream is alive."""


Event = (
    Start
    | TextDelta
    | ReasoningDelta
    | ReasoningStart
    | Signature
    | RedactedReasoning
    | ToolStart
    | ToolArguments
    | ToolEnd
    | UsageSeen
    | Finish
    | End
    | Failed
    | Ping
)
