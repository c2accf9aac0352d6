"""
Writes an answer as a client of the Responses API wants it: typed events, or one response.

    event               open item       stream
    Start                               response.created, response.in_progress
    TextDelta           other           close, output_item.added, content_part.added
                        message         output_text.delta
    ReasoningDelta      other           close, output_item.added, reasoning_summary_part.added or content_part.added
                        reasoning       reasoning_summary_text.delta, or reasoning_text.delta
    ReasoningStart      any             close
    Signature           reasoning       close; where asked for, the item carries the signature in encrypted_content
    RedactedReasoning   any             close, an item with encrypted_content alone, where it was asked for
    ToolStart           any             close, output_item.added
    ToolArguments       call            function_call_arguments.delta, or custom_tool_call_input.delta
    ToolEnd             call            close
    UsageSeen, Finish   any             remembered
    End                 any             close; a refusal; response.completed or response.incomplete with all items
    Failed              any             error, response.failed with the items that are whole
    Ping                any             a comment

To close an item is to say its text again whole (…done) and then the item (output_item.done). An item that a failure
breaks off is not closed: clients run a call as soon as it is. Every event has the next sequence_number, every item the
next output_index. Nothing is written after `End` or `Failed`. Both events of a failure are wanted: SDKs raise on the
first, agents read the second.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import response_error, responses_error_event
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import response_items as items
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
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
from services.gateway.translation.streams.free_text import FreeText, free_text
from services.gateway.translation.streams.response_items import ResponseBody

_encode: Final = msgspec.json.encode
_COMMENT: Final = b": keep-alive\n\n"
_TAIL: Final = b"}\n\n"
_TEXT_TAIL: Final = b',"logprobs":[]}\n\n'
# Looking a member up on its class costs as much as a call; these are asked for once per event.
_TEXT: Final = Kind.TEXT
_REASONING: Final = Kind.REASONING


class ResponsesWriter:
    """One stream. `created` is the answer's time in whole seconds, `request_id` names it in an error."""

    __slots__ = (
        "_body",
        "_context",
        "_created",
        "_delta",
        "_finish",
        "_id",
        "_items",
        "_number",
        "_open",
        "_parts",
        "_place",
        "_request_id",
        "_shape",
        "_signature",
        "_text",
        "_texts",
        "_tool",
        "_usage",
        "finished",
        "started",
    )

    def __init__(self, context: ResponseContext, *, created: int, request_id: str = "") -> None:
        self._context = context
        self._shape = items.shape_of(context)
        self._created = created
        self._request_id = request_id
        self._body = ResponseBody(request_id, "", context, created)
        self._number = -1  # sequence_number of the last event
        self._items: list[bytes] = []  # those that are whole
        self._open: Kind | None = None
        self._id = ""  # of the open item
        self._place = b""  # of the open item: its id and index, as members
        self._delta = (b"", b"")  # a delta of the open item, around its sequence_number
        self._parts: list[str] = []  # the text of the open item
        self._signature = ""
        self._tool = ToolStart("", "")
        self._text: FreeText | None = None  # of the open call, if it is of a custom tool
        self._texts = False  # visible text has gone out
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
                    self._begin_text(out)
                self._parts.append(event.text)
                self._say(event.text, _TEXT_TAIL, out)
            elif type(event) is ReasoningDelta:
                if self._open is not _REASONING:
                    self._begin_reasoning(out)
                if not self._parts:
                    self._begin_reasoning_part(out)
                self._parts.append(event.text)
                self._say(event.text, _TAIL, out)
            elif type(event) is ToolArguments:
                self._parts.append(event.fragment)
                said = event.fragment if self._text is None else self._text.feed(event.fragment)
                if said:
                    self._say(said, _TAIL, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def ping(self) -> bytes:
        """Return a keep-alive: a comment, because this protocol has no event for it."""
        return _COMMENT

    def _say(self, text: str, tail: bytes, out: list[bytes]) -> None:
        """Write a delta of the open item."""
        self._number += 1
        head, middle = self._delta
        out += (head, b"%d" % self._number, middle, _encode(text), tail)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Start():
                self._start(event, out)
            case ToolStart():
                self._begin_call(event, out)
            case ToolEnd() | ReasoningStart():
                self._close(out)
            case Signature(value=value):
                if self._open is not Kind.REASONING:
                    self._begin_reasoning(out)
                self._signature = value
                self._close(out)
            case RedactedReasoning(data=data):
                self._redacted(data, out)
            case UsageSeen(usage=usage):
                self._usage = usage
            case Finish():
                self._finish = event
            case End():
                self._end(out)
            case Failed(fault=fault):
                self._fail(fault, out)
            case _:
                out.append(_COMMENT)

    # Events

    def _event(self, name: str, members: bytes, out: list[bytes]) -> None:
        self._number += 1
        kind = name.encode()
        head = b'event: %b\ndata: {"type":"%b","sequence_number":%d,' % (kind, kind, self._number)
        out += (head, members, _TAIL)

    def _of_item(self, kind: str, out: list[bytes], /, **members: Any) -> None:
        """Write an event about the open item."""
        self._event(kind, self._place + b"," + _encode(members)[1:-1], out)

    def _item(self, name: str, item: bytes, out: list[bytes]) -> None:
        self._event(f"response.output_item.{name}", b'"output_index":%d,"item":%b' % (len(self._items), item), out)

    def _response(self, name: str, response: bytes, out: list[bytes]) -> None:
        self._event(f"response.{name}", b'"response":' + response, out)

    def _start(self, event: Start, out: list[bytes]) -> None:
        self.started = True
        self._body = ResponseBody(event.id, event.model, self._context, self._created)
        response = self._body.write("in_progress", [])
        self._response("created", response, out)
        self._response("in_progress", response, out)

    # Items

    def _begin(self, kind: Kind, delta: str, out: list[bytes], place: bytes = b"") -> None:
        """Open an item; `delta` is the event that carries its text, `place` where in the item that goes."""
        self._close(out)
        self._open = kind
        self._id = items.item_id(kind, self._body.id, len(self._items))
        self._place = b'"item_id":%b,"output_index":%d%b' % (_encode(self._id), len(self._items), place)
        name = delta.encode()
        self._delta = (
            b'event: %b\ndata: {"type":"%b","sequence_number":' % (name, name),
            b',%b,"delta":' % self._place,
        )

    def _begin_text(self, out: list[bytes]) -> None:
        self._texts = True
        self._begin(Kind.TEXT, "response.output_text.delta", out, b',"content_index":0')
        self._item("added", _encode(items.message_item(self._id, [], "in_progress")), out)
        self._of_item("response.content_part.added", out, part=items.text_part(""))

    def _begin_reasoning(self, out: list[bytes]) -> None:
        if self._shape.summary:
            self._begin(Kind.REASONING, "response.reasoning_summary_text.delta", out, b',"summary_index":0')
        else:
            self._begin(Kind.REASONING, "response.reasoning_text.delta", out, b',"content_index":0')
        self._item("added", _encode(items.reasoning_item(self._id, None, self._shape)), out)

    def _begin_reasoning_part(self, out: list[bytes]) -> None:
        name = "response.reasoning_summary_part.added" if self._shape.summary else "response.content_part.added"
        self._of_item(name, out, part=items.reasoning_part("", self._shape))

    def _begin_call(self, event: ToolStart, out: list[bytes]) -> None:
        shown = self._shape.shown.get(event.name)
        custom = shown is not None and shown.custom
        word = "custom_tool_call_input" if custom else "function_call_arguments"
        self._begin(Kind.TOOL, f"response.{word}.delta", out)
        self._tool, self._text = event, FreeText() if custom else None
        block = Block(kind=Kind.TOOL, text="", id=event.id, name=event.name)
        self._item("added", _encode(items.call_item(self._id, block, self._shape, "in_progress")), out)

    def _redacted(self, data: str, out: list[bytes]) -> None:
        self._close(out)
        block = Block(kind=Kind.REDACTED, text=data)
        if items.is_shown(block, self._shape):
            self._begin(Kind.REDACTED, "", out)
            self._item("added", _encode(items.reasoning_item(self._id, None, self._shape)), out)
            self._whole(block, out)

    def _close(self, out: list[bytes]) -> None:
        """Say the open item whole."""
        if self._open is None:
            return
        text = "".join(self._parts)
        tool = self._tool
        block = Block(kind=self._open, text=text, signature=self._signature, id=tool.id, name=tool.name)
        if self._open is Kind.TEXT:
            self._of_item("response.output_text.done", out, text=text, logprobs=[])
            self._of_item("response.content_part.done", out, part=items.text_part(text))
        elif self._open is Kind.TOOL:
            self._close_call(block, out)
        elif text:
            part = items.reasoning_part(text, self._shape)
            word = "reasoning_summary_text" if self._shape.summary else "reasoning_text"
            self._of_item(f"response.{word}.done", out, text=text)
            word = "reasoning_summary_part" if self._shape.summary else "content_part"
            self._of_item(f"response.{word}.done", out, part=part)
        self._whole(block, out)

    def _close_call(self, block: Block, out: list[bytes]) -> None:
        if self._text is not None:
            text = free_text(block.text)
            if text and not (self._text.shaped and self._text.begun):
                self._say(text, _TAIL, out)  # arguments of another shape: nothing of them has been said
            self._of_item("response.custom_tool_call_input.done", out, input=text)
            return
        if not block.text.strip():
            self._say("{}", _TAIL, out)
        item = items.call_item(self._id, block, self._shape)
        self._of_item("response.function_call_arguments.done", out, name=item["name"], arguments=item["arguments"])

    def _whole(self, block: Block, out: list[bytes]) -> None:
        item = _encode(items.item_of(block, self._body.id, len(self._items), self._shape))
        self._item("done", item, out)
        self._items.append(item)
        self._open = None
        self._parts = []
        self._signature = ""
        self._tool, self._text = ToolStart("", ""), None

    # Ends

    def _end(self, out: list[bytes]) -> None:
        self._close(out)
        refusal = items.refusal_of(self._finish, texts=self._texts)
        if refusal is not None:
            self._refuse(refusal, out)
        self.finished = True
        status, details = items.ending(self._finish)
        response = self._body.write(status, self._items, usage=self._usage, incomplete=details)
        self._response(status, response, out)

    def _refuse(self, text: str, out: list[bytes]) -> None:
        self._begin(Kind.TEXT, "response.refusal.delta", out, b',"content_index":0')
        self._item("added", _encode(items.message_item(self._id, [], "in_progress")), out)
        self._of_item("response.content_part.added", out, part=items.refusal_part(""))
        self._of_item("response.refusal.delta", out, delta=text)
        self._of_item("response.refusal.done", out, refusal=text)
        self._of_item("response.content_part.done", out, part=items.refusal_part(text))
        item = _encode(items.message_item(self._id, [items.refusal_part(text)], "completed"))
        self._item("done", item, out)
        self._items.append(item)

    def _fail(self, fault: Fault, out: list[bytes]) -> None:
        self.finished = True
        self._number += 1
        out.append(responses_error_event(fault, self._number))
        self._response("failed", self._body.write("failed", self._items, error=response_error(fault)), out)


def write_responses_batch(answer: Answer, context: ResponseContext, *, created: int) -> bytes:
    """Return the response's JSON. `created` in whole seconds."""
    shape = items.shape_of(context)
    body = ResponseBody(answer.id, answer.model, context, created)
    blocks = [block for block in answer.blocks if items.is_shown(block, shape)]
    whole = [_encode(items.item_of(block, body.id, index, shape)) for index, block in enumerate(blocks)]
    texts = any(block.kind is Kind.TEXT for block in blocks)
    refusal = items.refusal_of(answer.finish, texts=texts)
    if refusal is not None:
        ident = items.item_id(Kind.TEXT, body.id, len(whole))
        whole.append(_encode(items.message_item(ident, [items.refusal_part(refusal)], "completed")))
    status, details = items.ending(answer.finish)
    return body.write(status, whole, usage=answer.usage, incomplete=details)
