"""
Writes an answer as an OpenAI client wants it: chunks, or one completion (translation.md A6.2, A11).

    event             stream
    Start             the chunk with the role, the only one
    TextDelta         content
    ReasoningDelta    reasoning_content
    ToolStart         tool_calls with index, id and name; the index counts tool calls from 0
    ToolArguments     tool_calls with index and arguments only
    ToolEnd           arguments `{}` if there were none
    UsageSeen         remembered
    Finish            remembered
    End               the chunk with the finish_reason; the usage chunk if it was asked for; [DONE]
    Failed            one chunk with the error, and no [DONE]
    Ping              a comment
    others            nothing: signatures and opaque reasoning have no place here

Clients concatenate what is repeated, so role, id and name go out once; and the reference SDK keeps the usage of the
last chunk only, so nothing but [DONE] comes after it. Nothing is written after `End` or `Failed`.
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
from services.gateway.wire.formats import WireFormat

_encode: Final = msgspec.json.encode
_DONE: Final = b"data: [DONE]\n\n"
_COMMENT: Final = b": keep-alive\n\n"
_ID_PREFIX: Final = "chatcmpl-"
_REFUSED: Final = "The model declined to answer."
# Looking a member up on its class costs as much as a call.
_TEXT: Final = Kind.TEXT
_REASONING: Final = Kind.REASONING
_TOOL: Final = Kind.TOOL
_REFUSAL: Final = StopReason.REFUSAL
_TAIL: Final = b'},"finish_reason":null}]}\n\n'


class OpenAIWriter:
    """One stream. `created` is the answer's time in whole seconds, `request_id` names it in an error."""

    __slots__ = (
        "_argument_head",
        "_argument_tail",
        "_arguments",
        "_call",
        "_content",
        "_context",
        "_created",
        "_finish",
        "_head",
        "_reasoning",
        "_request_id",
        "_silent",
        "_texts",
        "_usage",
        "finished",
        "started",
    )

    def __init__(self, context: ResponseContext, *, created: int, request_id: str = "") -> None:
        self._context = context
        self._created = created
        self._request_id = request_id
        self._texts = False  # visible text has gone out
        self._call = -1  # index of the last tool call
        self._arguments = False  # that call's arguments have begun
        self._silent = False  # that call has no place in the answer
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
                self._texts = True
                out += (self._content, _encode(event.text), _TAIL)
            elif type(event) is ReasoningDelta:
                out += (self._reasoning, _encode(event.text), _TAIL)
            elif type(event) is ToolArguments:
                self._arguments = True
                if not self._silent:
                    out += (self._argument_head, _encode(event.fragment), self._argument_tail)
            else:
                self._other(event, out)
        return b"".join(out)

    def ping(self) -> bytes:
        """Return a keep-alive: a comment, because this protocol has no event for it."""
        return _COMMENT

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Start():
                self._start(event, out)
            case ToolStart():
                self._tool_start(event, out)
            case ToolEnd():
                if not (self._arguments or self._silent):
                    out += (self._argument_head, b'"{}"', self._argument_tail)
            case UsageSeen(usage=usage):
                self._usage = usage
            case Finish():
                self._finish = event
            case End():
                self._end(out)
            case Failed(fault=fault):
                self.finished = True
                out.append(error_event(WireFormat.OPENAI, fault, self._request_id))
            case Ping():
                out.append(_COMMENT)
            case _:
                pass

    def _start(self, event: Start, out: list[bytes]) -> None:
        self.started = True
        model = _encode(self._context.requested_model or event.model)
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[' % (
            _encode(_answer_id(event.id)),
            self._created,
            model,
        )
        delta = self._head + b'{"index":0,"delta":{'
        self._content = delta + b'"content":'
        self._reasoning = delta + b'"reasoning_content":'
        out += (delta, b'"role":"assistant","content":""', _TAIL)

    def _tool_start(self, event: ToolStart, out: list[bytes]) -> None:
        self._call += 1
        self._arguments = False
        delta = self._head + b'{"index":0,"delta":{'
        if self._context.legacy_functions:
            # The old protocol has room for one call.
            self._silent = self._call > 0
            self._argument_head = delta + b'"function_call":{"arguments":'
            self._argument_tail = b"}" + _TAIL
            head = b'"function_call":{"name":%b,"arguments":""}' % _encode(event.name)
        else:
            call = b'"tool_calls":[{"index":%d,' % self._call
            self._argument_head = delta + call + b'"function":{"arguments":'
            self._argument_tail = b"}}]" + _TAIL
            head = b'%b"id":%b,"type":"function","function":{"name":%b,"arguments":""}}]' % (
                call,
                _encode(event.id),
                _encode(event.name),
            )
        if not self._silent:
            out += (delta, head, _TAIL)

    def _end(self, out: list[bytes]) -> None:
        self.finished = True
        finish = self._finish
        if finish.reason is _REFUSAL and not self._texts:
            out += (self._head, b'{"index":0,"delta":{"refusal":', _encode(finish.refusal or _REFUSED), _TAIL)
        out += (self._head, b'{"index":0,"delta":{},', _encode(_reason(finish, self._context))[1:], b"]}\n\n")
        if self._context.include_usage:
            out += (self._head, b'],"usage":', token_counts.write_openai(self._usage), b"}\n\n")
        out.append(_DONE)


def write_openai_batch(answer: Answer, context: ResponseContext, *, created: int) -> bytes:
    """Return the completion's JSON. `created` in whole seconds."""
    text = answer.joined(_TEXT)
    message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": None}
    if reasoning := answer.joined(_REASONING):
        message["reasoning_content"] = reasoning
    if calls := [_call(block) for block in answer.blocks if block.kind is _TOOL]:
        if context.legacy_functions:
            message["function_call"] = calls[0]["function"]
        else:
            message["tool_calls"] = calls
    if answer.finish.reason is _REFUSAL and not text:
        message["refusal"] = answer.finish.refusal or _REFUSED
    choice = {"index": 0, "message": message, "logprobs": None, **_reason(answer.finish, context)}
    return _encode(
        {
            "id": _answer_id(answer.id),
            "object": "chat.completion",
            "created": created,
            "model": context.requested_model or answer.model,
            "choices": [choice],
            "usage": msgspec.Raw(token_counts.write_openai(answer.usage)),
        }
    )


def _call(block: Block) -> dict[str, Any]:
    function = {"name": block.name, "arguments": block.text if block.text.strip() else "{}"}
    return {"id": block.id, "type": "function", "function": function}


def _reason(finish: Finish, context: ResponseContext) -> dict[str, str]:
    """Return the fields of a choice that say why it ended."""
    if finish.reason is StopReason.TOOLS and context.legacy_functions:
        return {"finish_reason": "function_call"}
    reason = {"finish_reason": vocabulary.to_openai(finish.reason)}
    if finish.reason is StopReason.PAUSE:
        reason["x_stop_reason"] = vocabulary.to_anthropic(finish.reason)  # has no equivalent
    return reason


def _answer_id(upstream: str) -> str:
    return upstream if upstream.startswith(_ID_PREFIX) else _ID_PREFIX + upstream
