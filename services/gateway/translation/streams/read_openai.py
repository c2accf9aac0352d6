"""
Reads what an OpenAI-format upstream answers, as a stream or as a batch (translation.md A6.1, A10).

    state      event                       what happens                                        next
    before     [DONE], end of stream       Failed: nothing came                                ended
    any        error object, broken JSON   Failed                                              ended
    before     first chunk                 Start                                               open
    open       delta                       reasoning, content, tools in this order, whatever   open
                                           the order of the keys
    open       finish_reason               remembered; open calls are closed; `network_error`  finishing
                                           is Failed
    finishing  delta, usage                as in open: both still come here                    finishing
    open       [DONE], end of stream       Failed: an end without a reason is a cut            ended
    finishing  [DONE], end of stream       Finish, End                                         ended

Blank text between tool calls and blank reasoning open nothing: servers send both as separators.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from services.gateway.translation import vocabulary
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import looks_like_error
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import faults, token_counts
from services.gateway.translation.streams.assembly import Assembly, Flow
from services.gateway.translation.streams.call_index import CallIndex
from services.gateway.translation.streams.events import Event, StopReason
from services.gateway.translation.streams.reader import StreamReader, fault_under_200
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.openai_events import Choice, Chunk, Message, ToolCall, decode, decode_strictly

_DONE: Final = b"[DONE]"
# Looking a member up on its class costs as much as a call; these are asked for once per event.
_TEXT: Final = Flow.TEXT
_TOOLS: Final = Flow.TOOLS
_CALL_ID: Final = "toolu_"  # reads well to Anthropic clients, for whom this reader mostly works


class OpenAIReader(StreamReader):
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


def read_openai_batch(
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


class _Answer:
    """What the chunks of one answer have said."""

    __slots__ = ("_blank", "_calls", "_fault_of", "_finish_reason", "_refusal", "_stop_sequence", "assembly")

    def __init__(
        self, context: ResponseContext, new_id: Callable[[str], str], fault_of: Callable[[bytes], Fault]
    ) -> None:
        self._fault_of = fault_of
        self.assembly = Assembly(context, new_id, _CALL_ID)
        self._calls = CallIndex(self.assembly.tools)
        self._blank = ""  # blank reasoning that may still turn out to begin something
        self._refusal = ""
        self._stop_sequence: str | None = None
        self._finish_reason: str | None = None

    @property
    def settled(self) -> bool:
        return self._finish_reason is not None and self.assembly.usage is not None

    def frames(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        assembly = self.assembly
        for _, data in pairs:
            try:
                chunk = decode_strictly(data)
            except BROKEN:
                self._odd(data)
            else:
                self._chunk(chunk, data)
            if assembly.ended:
                return

    def close(self) -> None:
        self._end(done=False)

    def body(self, body: bytes) -> None:
        try:
            completion = decode(body)
        except BROKEN:
            self.assembly.fail(self._fault_of(body) if looks_like_error(body) else faults.BODY_NOT_JSON)
            return
        choices = completion.choices
        if choices and completion.error is None:
            self._batch(completion, choices)
        elif completion.error is not None or (choices is None and completion.code is not None):
            self.assembly.fail(self._fault_of(body))
        else:
            self.assembly.fail(self._fault_of(body) if looks_like_error(body) else faults.NO_CHOICES)

    def _odd(self, data: bytes) -> None:
        """Take an event that is not a chunk as it should be."""
        if data.strip() == _DONE:
            self._end(done=True)
            return
        try:
            chunk = decode(data)
        except BROKEN:
            self.assembly.fail(faults.NOT_JSON)
        else:
            self._chunk(chunk, data)

    def _without_choices(self, chunk: Chunk, data: bytes) -> None:
        if chunk.error or chunk.code is not None:
            self.assembly.fail(self._fault_of(data))
        elif self.assembly.started:
            self.assembly.counted(token_counts.read_openai(chunk.usage))

    def _chunk(self, chunk: Chunk, data: bytes) -> None:
        choices = chunk.choices
        if choices is None:
            self._without_choices(chunk, data)
            return
        if chunk.error:
            self.assembly.fail(self._fault_of(data))
            return
        if not self.assembly.started:
            self.assembly.start(chunk.id, chunk.model)
        for choice in choices:
            if not choice.index:
                self._choice(choice, choice.delta)
                break
        if chunk.usage:
            self.assembly.counted(token_counts.read_openai(chunk.usage))

    def _batch(self, completion: Chunk, choices: list[Choice]) -> None:
        self.assembly.start(completion.id, completion.model)
        self.assembly.counted(token_counts.read_openai(completion.usage))
        choice = next((choice for choice in choices if choice.index == 0), choices[0])
        self._choice(choice, choice.message)
        if not self.assembly.ended:
            self._finish_reason = self._finish_reason or "stop"
            self._end(done=True)

    def _end(self, *, done: bool) -> None:
        """Complete the answer if its reason to stop is known; `done` is the upstream's word that it is complete."""
        reason = self._reason(done=done)
        if reason is None:
            self.assembly.fail(faults.TRUNCATED if self.assembly.started else faults.NO_DATA)
        else:
            self.assembly.finish(reason, stop_sequence=self._stop_sequence, refusal=self._refusal or None)

    def _reason(self, *, done: bool) -> StopReason | None:
        if self._finish_reason is None:
            return None
        reason = vocabulary.from_openai(self._finish_reason)
        if reason is None:
            return StopReason.END if done else None
        if self._refusal:
            return StopReason.REFUSAL
        if reason is StopReason.END and self._stop_sequence is not None:
            return StopReason.STOP_SEQUENCE
        return reason

    def _choice(self, choice: Choice, message: Message | None) -> None:
        if message is not None:
            self._message(message)
        reason = choice.finish_reason
        if not reason:
            return
        if vocabulary.is_failure(reason):
            self.assembly.fail(faults.INFERENCE)
            return
        self._finish_reason = reason
        self._stop_sequence = _matched(choice.matched_stop) or _matched(choice.stop_reason)
        self.assembly.flush_tools()

    def _message(self, message: Message) -> None:
        assembly = self.assembly
        reasoning = message.reasoning_content or message.reasoning
        if reasoning:
            self._reasoning(reasoning)
        content = message.content
        if content:
            if assembly.flow is _TEXT:
                assembly.text(content)
            elif assembly.flow is not _TOOLS or content.strip():
                # Blank text between calls is a separator of the model's template, B65.
                self._blank = ""
                assembly.text(content)
        if message.refusal:
            self._refusal += message.refusal
            assembly.text(message.refusal)
        if message.tool_calls:
            self._tool_calls(message.tool_calls)
        if message.function_call is not None:
            self._tool_calls([ToolCall(index=0, function=message.function_call)])

    def _reasoning(self, text: str) -> None:
        if self.assembly.flow is not Flow.REASONING:
            text = self._blank + text
            if not text.strip():
                self._blank = text
                return
            self._blank = ""
        self.assembly.reasoning(text)

    def _tool_calls(self, fragments: list[ToolCall]) -> None:
        self._blank = ""
        assembly = self.assembly
        for position, fragment in enumerate(fragments):
            function = fragment.function
            name = (function.name if function else None) or ""
            call = self._calls.call_of(fragment, position, name, alone=len(fragments) == 1)
            assembly.arguments(call, (function.arguments if function else None) or "")


def _matched(value: Any) -> str | None:
    """The stop sequence that a server names; a number is a token and says nothing."""
    return value if isinstance(value, str) and value else None
