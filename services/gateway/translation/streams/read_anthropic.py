"""
Reads what an Anthropic-format upstream answers, as a stream or as a batch (translation.md A6.2, A11).

    event                 what happens
    message_start         Start, once; its usage is a first estimate
    content_block_start   the block is noted by its index; a tool call begins; text that it carries is taken
    content_block_delta   by the delta's own type; ignored for blocks of unknown kinds and for the vendor's own tools
    content_block_stop    a tool call ends, with the input that its start carried if no delta came
    message_delta         usage overwrites what was said before; the reason to stop is remembered
    message_stop          Finish, End
    ping                  Ping
    error                 Failed
    anything else         ignored
    end of stream         Finish, End if a reason to stop is known (some servers leave message_stop out), else Failed

The type is `data.type`; the `event:` line only counts where that is missing.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.gateway.translation import vocabulary
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import looks_like_error
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import faults, token_counts
from services.gateway.translation.streams.assembly import Assembly
from services.gateway.translation.streams.events import (
    Event,
    ReasoningStart,
    RedactedReasoning,
    Signature,
    StopReason,
)
from services.gateway.translation.streams.reader import StreamReader, fault_under_200
from services.gateway.translation.streams.tool_buffer import Call
from services.gateway.wire.anthropic_events import (
    Block,
    Delta,
    Message,
    MessageHead,
    StreamEvent,
    decode_event,
    decode_message,
    decode_strictly,
)
from services.gateway.wire.mend import BROKEN

_DONE: Final = b"[DONE]"
_CALL_ID: Final = "call_"  # reads well to OpenAI clients, for whom this reader mostly works
_BEGUN: Final = "thinking, begun"
_REASONING: Final = frozenset({"thinking", _BEGUN})
_VISIBLE: Final = frozenset({"text", "thinking", _BEGUN})  # a delta in the wrong one of these counts by its own type
_KINDS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}


class AnthropicReader(StreamReader):
    """
    One stream. `new_id(prefix)` makes the ids that the upstream left out, `fault_of` reads the body of an error that
    comes in the stream, `limit` bounds one event in bytes.
    """

    __slots__ = ()

    def __init__(
        self,
        context: ResponseContext,
        new_id: Callable[[str], str],
        *,
        fault_of: Callable[[bytes], Fault] = fault_under_200,
        limit: int = 1024 * 1024,
    ) -> None:
        super().__init__(_Answer(context, new_id, fault_of), limit)


def read_anthropic_batch(
    body: bytes,
    context: ResponseContext,
    new_id: Callable[[str], str],
    *,
    fault_of: Callable[[bytes], Fault] = fault_under_200,
) -> list[Event]:
    """Return the events of a batch answer; `[Failed]` where it is an error or no answer."""
    answer = _Answer(context, new_id, fault_of)
    answer.body(body)
    return answer.assembly.take()


class _Open:
    """A block by its index, until it stops."""

    __slots__ = ("call", "input", "kind", "signature")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call: Call | None = None
        self.input = ""  # what a tool call's start carried
        self.signature = ""  # what a reasoning block's start carried


class _Answer:
    """What the events of one answer have said."""

    __slots__ = ("_blocks", "_explanation", "_fault_of", "_stop_reason", "_stop_sequence", "assembly")

    def __init__(
        self, context: ResponseContext, new_id: Callable[[str], str], fault_of: Callable[[bytes], Fault]
    ) -> None:
        self._fault_of = fault_of
        self.assembly = Assembly(context, new_id, _CALL_ID)
        self._blocks: dict[int, _Open] = {}
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._explanation: str | None = None

    @property
    def settled(self) -> bool:
        return self._stop_reason is not None

    def frames(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        assembly = self.assembly
        for name, data in pairs:
            try:
                event = decode_strictly(data)
            except BROKEN:
                self._odd(name, data)
            else:
                # Nearly every event is one of these.
                if event.type == "content_block_delta" and event.delta is not None:
                    self._delta(event.index, event.delta)
                else:
                    self._event(name, event, data)
            if assembly.ended:
                return

    def close(self) -> None:
        self._end(done=False)

    def body(self, body: bytes) -> None:
        try:
            message = decode_message(body)
        except BROKEN:
            message = Message()
        content = message.content
        if (content is None or message.error is not None) and looks_like_error(body):
            self.assembly.fail(self._fault_of(body))
        elif content is None:
            self.assembly.fail(faults.BODY_NOT_JSON)
        else:
            self._batch(message, content)

    def _odd(self, name: bytes, data: bytes) -> None:
        """Take an event that is not as it should be."""
        if data.strip() == _DONE:
            self._end(done=False)
            return
        try:
            event = decode_event(data)
        except BROKEN:
            self.assembly.fail(self._fault_of(data) if looks_like_error(data) else faults.NOT_JSON)
        else:
            self._event(name, event, data)

    def _event(self, name: bytes, event: StreamEvent, data: bytes) -> None:
        kind = event.type or name.decode("ascii", "replace")
        match kind:
            case "content_block_start":
                self._block_start(event.index, event.content_block or Block())
            case "content_block_delta":
                self._delta(event.index, event.delta or Delta())
            case "content_block_stop":
                self._block_stop(event.index)
            case "message_start":
                head = event.message or MessageHead()
                self.assembly.start(head.id, head.model)
                self.assembly.counted(token_counts.read_anthropic(head.usage, self.assembly.usage))
            case "message_delta":
                self._message_delta(event)
            case "message_stop":
                self._end(done=True)
            case "ping":
                self.assembly.ping()
            case _ if kind == "error" or event.error or event.code is not None:
                self.assembly.fail(self._fault_of(data))
            case _:
                pass  # an event of the future

    def _block_start(self, index: int, block: Block) -> None:
        self._start()
        opened = self._blocks[index] = _Open(block.type)
        if block.type == "tool_use":
            opened.call = self.assembly.tools.open(index, block.id, block.name)
            opened.input = _object_text(block.input)
            self.assembly.begin_call(opened.call)
        elif block.type == "redacted_thinking":
            self.assembly.reasoning_block(RedactedReasoning(block.data or ""))
        elif block.type == "thinking":
            opened.signature = block.signature or ""
            self._thinking(opened, block.thinking or "")
        elif block.type == "text" and block.text:
            self.assembly.text(block.text)

    def _delta(self, index: int, delta: Delta) -> None:
        block = self._blocks.get(index)
        if block is None:
            self._start()
            block = self._blocks[index] = _Open(_KINDS.get(delta.type, ""))
        if delta.text:
            if block.kind in _VISIBLE:
                self.assembly.text(delta.text)
        elif delta.thinking:
            self._thinking(block, delta.thinking)
        elif delta.partial_json:
            if block.call is not None:
                self.assembly.arguments(block.call, delta.partial_json)
        elif delta.signature and block.kind in _REASONING:
            block.signature = ""
            self._begin_thinking(block)
            self.assembly.reasoning_block(Signature(delta.signature))

    def _thinking(self, block: _Open, text: str) -> None:
        if block.kind in _VISIBLE and text:
            self._begin_thinking(block)
            self.assembly.reasoning(text)

    def _begin_thinking(self, block: _Open) -> None:
        """Draw the line between two blocks, once; a block that stays empty is none."""
        if block.kind == "thinking":
            block.kind = _BEGUN
            self.assembly.reasoning_block(ReasoningStart())

    def _block_stop(self, index: int) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.call is not None:
            if block.call.empty:
                self.assembly.arguments(block.call, block.input)
            self.assembly.close_call(block.call)
        elif block.signature:
            self._begin_thinking(block)
            self.assembly.reasoning_block(Signature(block.signature))

    def _message_delta(self, event: StreamEvent) -> None:
        self._start()
        self.assembly.counted(token_counts.read_anthropic(event.usage, self.assembly.usage))
        delta = event.delta
        if delta is not None and delta.stop_reason:
            self._stopped(delta)

    def _stopped(self, said: Delta | Message) -> None:
        self._stop_reason = said.stop_reason
        self._stop_sequence = said.stop_sequence
        details = said.stop_details
        explanation = details.get("explanation") if isinstance(details, dict) else None
        self._explanation = explanation if isinstance(explanation, str) else None

    def _start(self) -> None:
        """Begin an answer whose message_start is missing."""
        if not self.assembly.started:
            self.assembly.start(None, None)

    def _batch(self, message: Message, blocks: list[Block]) -> None:
        self.assembly.start(message.id, message.model)
        self.assembly.counted(token_counts.read_anthropic(message.usage, None))
        for index, block in enumerate(blocks):
            if block.type == "text" and block.text:  # nearly every block
                self.assembly.text(block.text)
            else:
                self._block_start(index, block)
                self._block_stop(index)
        self._stopped(message)
        self._end(done=True)

    def _end(self, *, done: bool) -> None:
        """Complete the answer; `done` is the upstream's word that it is complete."""
        assembly = self.assembly
        said = self._stop_reason
        if not assembly.started or (said is None and not done):
            assembly.fail(faults.TRUNCATED if assembly.started else faults.NO_DATA)
        elif said is not None and vocabulary.is_failure(said):
            assembly.fail(faults.INFERENCE)
        else:
            reason = vocabulary.from_anthropic(said or "") or StopReason.END
            assembly.finish(reason, stop_sequence=self._stop_sequence, refusal=self._explanation)


def _object_text(value: msgspec.Raw) -> str:
    """The JSON text of an input that is there and is not empty."""
    text = bytes(value).decode("utf-8", "replace").strip()
    return "" if text in {"null", "{}"} else text
