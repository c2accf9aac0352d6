"""
The items of a Responses request as turns of a conversation, in Anthropic's blocks.

Theory of operation. Items are taken one by one. What the assistant said, thought and called in a row is one turn; the
results of its calls are one turn after it, in the order of the calls. After a call the conversation is *open*:

| state  | item                    | what happens                                                            |
|--------|-------------------------|-------------------------------------------------------------------------|
| closed | system, developer, user | a turn                                                                  |
| closed | assistant, reasoning, call | joins the assistant's turn; a call opens the conversation            |
| closed | output of a call        | refused: no such call waits                                             |
| open   | output of a call        | kept; the last one writes all results and what was held: closed         |
| open   | system, developer, user | held back until the results are written                                 |
| open   | assistant, reasoning, call | joins the turn, unless an output has come: then a call is unanswered |
| open   | end                     | refused: a call is unanswered                                           |

Nothing that is written depends on a later item but where it belongs to the same turn, so that a longer history begins
with the bytes of a shorter one. The blocks are dictionaries; the two upstream formats take them from here.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.openai_content import tool_input
from services.gateway.translation.requests.openai_images import file_block, image_block
from services.gateway.translation.requests.responses_reasoning import Carried, opened
from services.gateway.translation.requests.responses_tools import flat_name
from services.gateway.wire.openai import File
from services.gateway.wire.responses import Item, Part

Block = dict[str, Any]

_SHOWN: Final = 64
_CALLS: Final = ("function_call", "custom_tool_call")
_OUTPUTS: Final = ("function_call_output", "custom_tool_call_output")
_PAST: Final = ("web_search_call", "image_generation_call", "tool_search_call", "tool_search_output")
_ADVICE: Final = {
    "item_reference": "nothing is stored here; send the item itself, as clients do that are told `store: false`",
    "compaction": "only the service that compacted a conversation can read it; send the items",
    "compaction_trigger": "conversations are not compacted here; let the client summarise",
}


class Turn(msgspec.Struct):
    """One turn: who, the blocks, and the index of one of its items, for what is said of it."""

    role: str  # system, user or assistant
    content: list[Block]
    at: int


class _Call(msgspec.Struct):
    """A call that waits for its output."""

    id: str  # the upstream's
    path: str
    result: Block | None = None


class Input:
    """Takes a request's items in order; `turns` is what they come to. One per request."""

    def __init__(
        self, dialect: Dialect, dropped: list[str], *, depth: int, call_id: Callable[[str], str] = lambda given: given
    ) -> None:
        """`call_id` spells a call's id as the upstream takes it; called once for each call."""
        self.turns: list[Turn] = []
        self._dialect = dialect
        self._dropped = dropped
        self._depth = depth
        self._call_id = call_id
        self._calls: dict[str, _Call] = {}  # by the client's id, those of the open turn
        self._answered = 0
        self._held: list[Turn] = []

    def add(self, item: Item, position: int) -> None:
        """Take the next item; `position` is its index."""
        path = f"input.{position}"
        if item.type == "message":
            self._message(item, position, path)
        elif item.type in _CALLS:
            self._assistant(self._call(item, path), position)
        elif item.type in _OUTPUTS:
            self._output(item, position, path)
        elif item.type == "reasoning":
            self._assistant(self._reasoning(item), position)
        elif item.type == "additional_tools":
            pass  # `responses_tools` offers them
        elif item.type in _PAST:
            self._dropped.append(f"input.{item.type}")
        else:
            why = _ADVICE.get(item.type, "not supported by this upstream")
            raise TranslationError(f"{path}.type: {item.type[:_SHOWN]!r}: {why}", param=f"{path}.type")

    def finish(self) -> list[Turn]:
        """Return the turns. Refuses a call without an output, and an input that says nothing."""
        self._refuse_unanswered()
        if all(turn.role == "system" for turn in self.turns):
            raise TranslationError("input: at least one message of the user is required", param="input")
        return self.turns

    def _message(self, item: Item, position: int, path: str) -> None:
        blocks = self._content(item, path)
        if item.role == "assistant":
            self._assistant(blocks, position)
            return
        if item.role in {"system", "developer"}:
            for block in blocks:
                if block["type"] != "text":
                    param = f"{path}.content"
                    raise TranslationError(f"{param}: a {item.role} message holds text alone", param=param)
            turn = Turn("system", blocks, position)
        elif item.role == "user":
            if not blocks:
                raise TranslationError(f"{path}.content: must not be empty", param=f"{path}.content")
            turn = Turn("user", blocks, position)
        else:
            param = f"{path}.role"
            raise TranslationError(f"{param}: Input should be user, assistant, system or developer", param=param)
        if turn.content:
            (self._held if self._calls else self.turns).append(turn)

    def _assistant(self, blocks: list[Block], position: int) -> None:
        if self._answered:
            self._refuse_unanswered()
        if not blocks:
            return
        if self.turns and self.turns[-1].role == "assistant":
            self.turns[-1].content += blocks
        else:
            self.turns.append(Turn("assistant", blocks, position))

    def _call(self, item: Item, path: str) -> list[Block]:
        if not item.name or not item.call_id:
            missing = "call_id" if item.name else "name"
            raise TranslationError(f"{path}.{missing}: Field required", param=f"{path}.{missing}")
        if item.call_id in self._calls:
            param = f"{path}.call_id"
            raise TranslationError(f"{param}: {item.call_id[:_SHOWN]!r} is the id of a call before", param=param)
        call = _Call(self._call_id(item.call_id), path)
        self._calls[item.call_id] = call
        name = flat_name(item.name, item.namespace)
        return [{"type": "tool_use", "id": call.id, "name": name, "input": self._arguments(item, path)}]

    def _arguments(self, item: Item, path: str) -> msgspec.Raw:
        if item.type == "custom_tool_call":
            return msgspec.Raw(msgspec.json.encode({"input": item.input or ""}))
        text = msgspec.Raw(msgspec.json.encode(item.arguments or ""))
        return tool_input(text, f"{path}.arguments", self._depth)

    def _output(self, item: Item, position: int, path: str) -> None:
        call = self._calls.get(item.call_id or "")
        if call is None or call.result is not None:
            param = f"{path}.call_id"
            shown = (item.call_id or "")[:_SHOWN]
            raise TranslationError(f"{param}: {shown!r} is no call before it that waits for an output", param=param)
        block: Block = {"type": "tool_result", "tool_use_id": call.id}
        output = item.output
        content: str | list[Block] = self._parts(output, f"{path}.output") if isinstance(output, list) else output or ""
        if content:
            block["content"] = content
        call.result = block
        self._answered += 1
        if self._answered == len(self._calls):
            self._settle(position)

    def _settle(self, position: int) -> None:
        results = [call.result for call in self._calls.values() if call.result is not None]
        self.turns.append(Turn("user", results, position))
        self.turns += self._held
        self._calls, self._held, self._answered = {}, [], 0

    def _refuse_unanswered(self) -> None:
        for call_id, call in self._calls.items():
            if call.result is None:
                message = f"{call.path}: no output answers call {call_id[:_SHOWN]!r}"
                raise TranslationError(message, param=call.path)

    # Content

    def _content(self, item: Item, path: str) -> list[Block]:
        content = item.content
        if isinstance(content, list):
            return self._parts(content, f"{path}.content")
        return [{"type": "text", "text": content}] if content else []

    def _parts(self, parts: list[Part], path: str) -> list[Block]:
        read = (self._part(part, f"{path}.{position}") for position, part in enumerate(parts))
        return [block for block in read if block is not None]

    def _part(self, part: Part, path: str) -> Block | None:
        match part.type:
            case "input_text" | "output_text" | "refusal":
                text = part.refusal if part.type == "refusal" else part.text
                return {"type": "text", "text": text} if text else None
            case "input_image":
                if part.image_url is None:
                    raise _without_data(part, f"{path}.image_url")
                if part.detail not in {None, "auto"}:
                    self._dropped.append("input_image.detail")
                block = image_block(part.image_url, self._dialect, f"{path}.image_url")
                if block["type"] == "text":  # the model cannot see it
                    self._dropped.append("input_image")
                return block
            case "input_file":
                if part.file_data is None:
                    raise _without_data(part, f"{path}.file_data")
                return file_block(File(part.file_data, None, part.filename), self._dialect, path)
            case _:
                param = f"{path}.type"
                message = f"{param}: parts of type {part.type[:_SHOWN]!r} are not supported by this upstream"
                raise TranslationError(message, param=param)

    def _reasoning(self, item: Item) -> list[Block]:
        """Return the block that the upstream gave, else the text that the client kept of it."""
        carried = opened(item.encrypted_content) if item.encrypted_content else None
        if carried is None:
            if item.encrypted_content:
                self._dropped.append("input.encrypted_content")
            carried = Carried(thinking=_text_of(item))
        if carried.redacted:
            return [{"type": "redacted_thinking", "data": carried.redacted}] if self._takes(carried) else []
        block = {"type": "thinking", "thinking": carried.thinking, "signature": carried.signature}
        return [block] if self._takes(carried) else []

    def _takes(self, carried: Carried) -> bool:
        """Whether the upstream takes a block back; one that verifies signatures takes none without (A8.3)."""
        says = bool(carried.thinking or carried.signature or carried.redacted)
        signed = bool(carried.signature or carried.redacted)
        taken = self._dialect.reasoning_field is not None and (signed or not self._dialect.verify_signatures)
        if says and not taken:
            self._dropped.append("input.reasoning")
        return says and taken


def _text_of(item: Item) -> str:
    """Return what a reasoning item says in the open: all of it, else its summary."""
    content = item.content if isinstance(item.content, list) else []
    return "".join(part.text or "" for part in content) or "\n\n".join(part.text or "" for part in item.summary or ())


def _without_data(part: Part, param: str) -> TranslationError:
    stored = part.file_id or part.file_url
    what = "nothing is stored here and nothing is fetched; send the data" if stored else "Field required"
    return TranslationError(f"{param}: {what}", param=param)
