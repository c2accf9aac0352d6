"""
Pass-through of an OpenAI stream to an OpenAI client. `repair` has the theory of operation; the repairs are:

- a finish_reason that only GLM knows becomes the vocabulary's, `network_error` an error event (A7)
- role, tool id and tool name are sent once, because clients concatenate them
- a tool call has an id from its start, and it is a string: Zhipu has left it out, and the AI SDK throws the answer away
  (CherryHQ/cherry-studio#16322)
- `object` is there
- tool calls are counted from 0 in every choice, each by itself also where the upstream numbers all of them 0
- usage goes out last, in a chunk of its own, and only to a client that asked for it: we ask on its behalf (M1)
- `[DONE]` is added when the upstream ended without it after its finish_reason, and an error chunk otherwise
- what breaks OpenAI's SDK in server-sent events is dropped: `event:`, `id:` and `retry:` lines, events without data
  (A11.9, E1)

The model is not renamed: what the upstream calls it is what the client reads.
"""

import re
from typing import Final

import msgspec

from services.gateway.translation.errors import looks_like_error, read_fault
from services.gateway.translation.passthrough.call_slots import SAID_NOTHING, CallSlots, Fragment
from services.gateway.translation.passthrough.openai_rewrite import (
    OBJECT,
    CallEdit,
    ChoiceEdit,
    rewritten,
    usage_chunk,
)
from services.gateway.translation.passthrough.repair import EVENT_LIMIT, StreamRepair, plain
from services.gateway.translation.streams.faults import INFERENCE, NO_DATA
from services.gateway.translation.streams.token_counts import read_openai
from services.gateway.wire.formats import WireFormat

_DONE: Final = b"data: [DONE]\n\n"
_EMPTY: Final = msgspec.Raw()
_FINISH: Final = {"sensitive": "content_filter", "model_context_window_exceeded": "length"}
_NO_COMMENT: Final = re.compile(rb"(?:^|[\r\n])[^:\r\n]")
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9_-]")
_STEM: Final = 32  # characters of a request's id in those of its calls
_OTHER_FIELDS: Final = re.compile(rb"(?:^|[\r\n])(?:event|id|retry)(?=[:\r\n])")


class _Delta(msgspec.Struct, gc=False):
    role: msgspec.Raw = _EMPTY
    content: msgspec.Raw = _EMPTY
    reasoning_content: msgspec.Raw = _EMPTY
    tool_calls: list[Fragment] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    object: str | None = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _EMPTY
    error: msgspec.Raw = _EMPTY


_NO_CALLS: Final[tuple[CallEdit, ...]] = ()
_decode: Final = msgspec.json.Decoder(_Chunk).decode


class _State:
    """What came of one choice so far."""

    __slots__ = ("calls", "role")

    def __init__(self) -> None:
        self.role = False
        self.calls = CallSlots()


class OpenAIRepair(StreamRepair):
    """The machine for OpenAI's chunks."""

    format = WireFormat.OPENAI
    ping_frame = b": keep-alive\n\n"

    def __init__(
        self, request_id: str, *, include_usage: bool, limit: int = EVENT_LIMIT, now: float | None = None
    ) -> None:
        """`include_usage`: the client itself asked for usage."""
        super().__init__(request_id, limit=limit, now=now)
        self._include_usage = include_usage
        self._usage_frame = b""
        self._finish_seen = False
        self._id_stem = f"call_{_NOT_IN_IDS.sub('', request_id)[-_STEM:]}"  # the same for any division into reads
        self._choices: dict[int, _State] = {}
        self._changed = False  # the chunk at hand changed this machine, so its like would be treated otherwise

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        del name  # OpenAI's events have none
        data = data.strip()
        if data == b"[DONE]":
            return self._done(raw)
        try:
            chunk = _decode(data)
        except msgspec.ValidationError:
            if not data.startswith(b"{"):
                raise
            return self._odd(self._without_fields(raw, data), data)
        if bytes(chunk.error) not in SAID_NOTHING or (chunk.choices is None and looks_like_error(data)):
            return self.fail(read_fault(200, data, now=self._now))
        return self._chunk(raw, data, chunk)

    def _done(self, raw: bytes) -> bytes:
        if not self.begun:
            return self.fail(NO_DATA)
        self.finished = True
        return self._usage_frame + raw

    def _odd(self, raw: bytes, data: bytes) -> bytes:
        """Pass on JSON that is no chunk as we know it, unless it is an error."""
        if looks_like_error(data):
            return self.fail(read_fault(200, data, now=self._now))
        return self._passed(raw)

    def _silent(self, raw: bytes) -> bytes:
        return b"" if _NO_COMMENT.search(raw) else super()._silent(raw)

    def _without_fields(self, raw: bytes, data: bytes) -> bytes:
        return raw if raw.startswith(b"data: ") or not _OTHER_FIELDS.search(raw) else plain(data)

    def _chunk(self, raw: bytes, data: bytes, chunk: _Chunk) -> bytes:
        choices = chunk.choices or []
        bare = self._without_fields(raw, data)
        if any(choice.finish_reason == "network_error" for choice in choices):
            return self.fail(INFERENCE)
        counted = bytes(chunk.usage) not in SAID_NOTHING
        if counted:
            self.usage = read_openai(msgspec.json.decode(chunk.usage)) or self.usage
            if self._include_usage:
                whole = not choices and chunk.object == OBJECT
                self._usage_frame = bare if whole else usage_chunk(data)
            if not choices:
                return self._passed(b"")
        self._changed = False
        edits = [self._read_choice(choice) for choice in choices]
        same = chunk.object == OBJECT and not counted and not any(edits)
        out = self._passed(bare if same else rewritten(data, edits))
        if not self._changed and not counted and len(choices) == 1:
            self._learn_from(raw, out, choices[0])
        return out

    def _read_choice(self, choice: _Choice) -> ChoiceEdit | None:
        """Take note of a choice and say what must change in it."""
        state = self._choices.get(choice.index)
        if state is None:
            state = self._choices[choice.index] = _State()
            self._changed = True
        finish = None
        if choice.finish_reason:
            self._finish_seen = self._changed = True
            finish = _FINISH.get(choice.finish_reason)
        drop_role, calls = False, _NO_CALLS
        if choice.delta is not None:
            if bytes(choice.delta.role) not in SAID_NOTHING:
                drop_role = state.role
                self._changed = self._changed or not state.role
                state.role = True
            if choice.delta.tool_calls:
                calls = self._read_calls(choice.delta.tool_calls, state.calls, choice.index)
        if not drop_role and finish is None and not calls:
            return None
        return ChoiceEdit(drop_role, finish, calls)

    def _read_calls(self, fragments: list[Fragment], calls: CallSlots, choice: int) -> tuple[CallEdit, ...]:
        """Return an edit for each fragment if any needs one."""
        edits, needed = [], False
        for position, fragment in enumerate(fragments):
            count = len(calls.known)
            slot = calls.slot(fragment, position, alone=len(fragments) == 1)
            call, ident, name = calls.known[slot], fragment.ident(), fragment.name()
            new_id = ident if ident != bytes(fragment.id) else b""
            if slot == count:
                self._changed = True
                self._template = None  # what was learned may have said which call is the last, or has a number
                if not ident:
                    ident = new_id = f'"{self._id_stem}_{choice}_{slot}"'.encode()
                    call.made = True
            edit = CallEdit(slot, bool(ident and call.id), bool(name and call.name), new_id)
            call.id, call.name = call.id or ident, call.name or name
            self._changed = self._changed or bool(ident) != edit.drop_id or bool(name) != edit.drop_name
            needed = needed or edit.drop_id or edit.drop_name or bool(new_id) or slot != fragment.index
            edits.append(edit)
        return tuple(edits) if needed else ()

    def _learn_from(self, raw: bytes, out: bytes, choice: _Choice) -> None:
        delta = choice.delta or _Delta()
        calls = delta.tool_calls or []
        strings = [(b'"content":', bytes(delta.content)), (b'"reasoning_content":', bytes(delta.reasoning_content))]
        strings += [(b'"arguments":', bytes(call.function.arguments)) for call in calls if call.function is not None]
        varying = [(key, value) for key, value in strings if value.startswith(b'"')]
        if len(varying) == 1:
            self._learn(raw, out, *varying[0])

    def _may_end(self) -> bool:
        return self._finish_seen

    def _ending(self) -> bytes:
        return self._usage_frame + _DONE
