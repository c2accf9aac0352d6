"""
Writes an answer as an Anthropic client wants it: events, or one message (translation.md A6.1, A10).

One block is open at a time, with indexes 0, 1, 2, …; whatever does not belong into it closes it.

    event               open block      what is written
    Start               none            message_start, once
    TextDelta           text            text_delta
                        other, none     stop, start text, text_delta
    ReasoningDelta      thinking        thinking_delta
                        other, none     stop, start thinking, thinking_delta
    ReasoningStart      thinking        stop
    Signature           thinking        signature_delta; the block takes nothing more
                        other, none     stop, start thinking, signature_delta
    RedactedReasoning   any             stop, a redacted_thinking block
    ToolStart           any             stop, start tool_use with the input `{}`
    ToolArguments       tool_use        input_json_delta
    ToolEnd             tool_use        stop
    UsageSeen, Finish   any             remembered
    End                 any             stop, message_delta with all counts, message_stop
    Failed              any             stop, error
    Ping                any             ping, but a comment before message_start

Nothing is written after `End` or `Failed`. Arguments never go into the start event: Claude Code ignores them there.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from services.gateway.translation import vocabulary
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import error_event
from services.gateway.translation.streams import token_counts
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    Ping,
    ReasoningDelta,
    ReasoningStart,
    RedactedReasoning,
    Signature,
    Start,
    StopReason,
    TextDelta,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.fold import Answer, Block, Kind
from services.gateway.translation.streams.tool_input import is_json, tool_input
from services.gateway.wire.formats import WireFormat

_encode: Final = msgspec.json.encode
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_COMMENT: Final = b": keep-alive\n\n"
_ID_PREFIX: Final = "msg_"
_TAIL: Final = b"}}\n\n"
# Looking a member up on its class costs as much as a call; these are asked for once per event.
_TEXT: Final = Kind.TEXT
_REASONING: Final = Kind.REASONING
_STARTS: Final = {
    Kind.TEXT: b'{"type":"text","text":""}',
    Kind.REASONING: b'{"type":"thinking","thinking":"","signature":""}',
}
_DELTAS: Final = {
    Kind.TEXT: b'"text_delta","text":',
    Kind.REASONING: b'"thinking_delta","thinking":',
    Kind.TOOL: b'"input_json_delta","partial_json":',
}


_NotText = (
    Start
    | ReasoningStart
    | Signature
    | RedactedReasoning
    | ToolStart
    | ToolEnd
    | UsageSeen
    | Finish
    | End
    | Failed
    | Ping
)


class AnthropicWriter:
    """
    One stream. `request_id` names it in an error. `input_tokens_estimate` is what message_start says of the prompt,
    as the upstream's own count usually comes last.
    """

    __slots__ = (
        "_context",
        "_delta",
        "_estimate",
        "_finish",
        "_index",
        "_open",
        "_request_id",
        "_usage",
        "finished",
        "started",
    )

    def __init__(self, context: ResponseContext, *, request_id: str = "", input_tokens_estimate: int = 0) -> None:
        self._context = context
        self._request_id = request_id
        self._estimate = input_tokens_estimate
        self._open: Kind | None = None
        self._index = -1  # of the block that was opened last
        self._delta = b""  # a delta of the open block, up to its text
        self._usage = Usage()
        self._finish = Finish(StopReason.END)
        self.started = False
        self.finished = False

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the bytes for the events of one read."""
        if self.finished:
            return b""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                if self._open is not _TEXT:
                    self._begin(Kind.TEXT, _STARTS[Kind.TEXT], out)
                out += (self._delta, _encode(event.text), _TAIL)
            elif type(event) is ReasoningDelta:
                if self._open is not _REASONING:
                    self._begin(Kind.REASONING, _STARTS[Kind.REASONING], out)
                out += (self._delta, _encode(event.text), _TAIL)
            elif type(event) is ToolArguments:
                out += (self._delta, _encode(event.fragment), _TAIL)
            else:
                self._other(event, out)
        return b"".join(out)

    def ping(self) -> bytes:
        """Return a keep-alive; before message_start only a comment is legal."""
        return _PING if self.started else _COMMENT

    def _other(self, event: _NotText, out: list[bytes]) -> None:
        match event:
            case Start():
                self._start(event, out)
            case ReasoningStart():
                if self._open is Kind.REASONING:
                    self._close(out)
            case Signature(value=value):
                self._signature(value, out)
            case RedactedReasoning(data=data):
                self._begin(Kind.REDACTED, _encode({"type": "redacted_thinking", "data": data}), out)
            case ToolStart(id=call_id, name=name):
                block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
                self._begin(Kind.TOOL, _encode(block), out)
            case ToolEnd():
                self._close(out)
            case _:
                self._beside(event, out)

    def _beside(self, event: UsageSeen | Finish | End | Failed | Ping, out: list[bytes]) -> None:
        """Take an event that is not content."""
        match event:
            case UsageSeen(usage=usage):
                self._usage = usage
            case Finish():
                self._finish = event
            case End():
                self._end(out)
            case Failed(fault=fault):
                self._close(out)
                self.finished = True
                out.append(error_event(WireFormat.ANTHROPIC, fault, self._request_id))
            case _:
                out.append(self.ping())

    def _start(self, event: Start, out: list[bytes]) -> None:
        self.started = True
        message: dict[str, Any] = {
            "id": _answer_id(event.id),
            "type": "message",
            "role": "assistant",
            "model": self._context.requested_model or event.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": msgspec.Raw(token_counts.write_anthropic(self._usage, self._estimate)),
        }
        out += (b'event: message_start\ndata: {"type":"message_start","message":', _encode(message), b"}\n\n")

    def _begin(self, kind: Kind, block: bytes, out: list[bytes]) -> None:
        self._close(out)
        self._open = kind
        self._index += 1
        head = b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":'
        out += (head % self._index, block, b"}\n\n")
        self._delta = self._delta_head() + _DELTAS.get(kind, b"")

    def _delta_head(self) -> bytes:
        return (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":' % self._index
        )

    def _close(self, out: list[bytes]) -> None:
        if self._open is not None:
            self._open = None
            stop = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
            out.append(stop % self._index)

    def _signature(self, value: str, out: list[bytes]) -> None:
        if self._open is not Kind.REASONING:
            self._begin(Kind.REASONING, _STARTS[Kind.REASONING], out)
        out += (self._delta_head(), b'"signature_delta","signature":', _encode(value), _TAIL)
        self._close(out)

    def _end(self, out: list[bytes]) -> None:
        self._close(out)
        self.finished = True
        body = {
            "type": "message_delta",
            "delta": _ending(self._finish),
            "usage": msgspec.Raw(token_counts.write_anthropic(self._usage, self._estimate)),
        }
        out += (b"event: message_delta\ndata: ", _encode(body), b"\n\n")
        out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def write_anthropic_batch(answer: Answer, context: ResponseContext) -> bytes:
    """Return the message's JSON."""
    cut = answer.finish.reason is StopReason.LENGTH
    content = [_block(block) for block in answer.blocks if not (cut and _is_cut(block))]
    message = {
        "id": _answer_id(answer.id),
        "type": "message",
        "role": "assistant",
        "model": context.requested_model or answer.model,
        # Clients read content[0] without looking.
        "content": content or [{"type": "text", "text": ""}],
        **_ending(answer.finish),
        "usage": msgspec.Raw(token_counts.write_anthropic(answer.usage)),
    }
    return _encode(message)


def _is_cut(block: Block) -> bool:
    """Whether a call's arguments broke off; such a call must not run."""
    return block.kind is Kind.TOOL and not is_json(block.text)


def _block(block: Block) -> dict[str, Any]:
    match block.kind:
        case Kind.TEXT:
            return {"type": "text", "text": block.text}
        case Kind.REASONING:
            return {"type": "thinking", "thinking": block.text, "signature": block.signature}
        case Kind.REDACTED:
            return {"type": "redacted_thinking", "data": block.text}
        case _:
            return {
                "type": "tool_use",
                "id": block.id,
                "name": block.name,
                "input": msgspec.Raw(tool_input(block.text)),
            }


def _ending(finish: Finish) -> dict[str, Any]:
    ending: dict[str, Any] = {
        "stop_reason": vocabulary.to_anthropic(finish.reason),
        "stop_sequence": finish.stop_sequence,
    }
    if finish.reason is StopReason.REFUSAL:
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": finish.refusal}
    return ending


def _answer_id(upstream: str) -> str:
    return upstream if upstream.startswith(_ID_PREFIX) else _ID_PREFIX + upstream
