"""
Anthropic messages as OpenAI messages (translation.md A2).

The upstream wants the results of an assistant's tool calls right after it, one message each, and nothing between.
Anthropic clients put results, text and even system messages in any order there. So after an assistant message with
calls everything but results is held back until the last result is in:

| state   | message                | does                                                       | then    |
|---------|------------------------|------------------------------------------------------------|---------|
| free    | user, system           | written                                                    | free    |
| free    | assistant, no calls    | written                                                    | free    |
| free    | assistant with calls   | written, or joined to the assistant message before it      | waiting |
| waiting | user, results missing  | results kept, the rest held                                | waiting |
| waiting | user with last results | results written in the order of the calls, then what was held | free |
| waiting | system                 | held                                                       | waiting |
| waiting | assistant              | joined if no result has come yet, else refused             | waiting |
| waiting | end                    | refused                                                    |         |

Nothing that is written depends on a later message, so a longer history begins with the bytes of a shorter one.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.anthropic_blocks import Blocks, Part, server_result_text, text_part
from services.gateway.translation.requests.depth import check_depth, too_deep
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.marks import mark_error, system_reminder
from services.gateway.translation.requests.reading import read_part
from services.gateway.wire.anthropic import (
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    McpToolUseBlock,
    Message,
    RawMessage,
    RawResultBlock,
    RedactedThinkingBlock,
    ResultContent,
    SearchResultBlock,
    ServerToolResult,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)

OpenAIMessage = dict[str, Any]

_CONTENT: Final[msgspec.json.Decoder[str | list[ResultContent] | None]] = msgspec.json.Decoder(
    str | list[ResultContent] | None
)
_TEXT: Final = re.compile(rb'"[^"]')  # a string in JSON that is not empty


class Conversation:
    """One request's messages. Feed with `add`, then `finish`; `system` holds what belongs to the leading one."""

    def __init__(
        self, *, dialect: Dialect, names: ToolNames, limits: RequestLimits, model: str, dropped: list[str]
    ) -> None:
        self.system: list[str] = []
        self.called: list[str] = []
        self._dialect = dialect
        self._names = names
        self._limits = limits
        self._dropped = dropped
        self._blocks = Blocks(dialect, names, model, dropped)
        self._written: list[OpenAIMessage] = []
        self._calls: dict[str, str] = {}  # id to path of the calls that wait for results, in their order
        self._results: dict[str, OpenAIMessage] = {}
        self._attached: list[Part] = []  # what results hold besides text
        self._held: list[OpenAIMessage] = []

    def add(self, message: Message | RawMessage, index: int) -> None:
        """Take the next message."""
        path = f"messages.{index}"
        content: str | Sequence[ContentBlock] = message.content
        match message.role:
            case "user":
                self._user([TextBlock(text=content)] if isinstance(content, str) else content, path)
            case "assistant":
                self._assistant([TextBlock(text=content)] if isinstance(content, str) else content, path)
            case "system":
                self._mid_system(content, path)
            case _:
                param = f"{path}.role"
                raise TranslationError(f"{param}: Input should be 'user', 'assistant' or 'system'", param=param)

    def finish(self) -> list[OpenAIMessage]:
        """Return the messages, without the leading system message."""
        self._refuse_unanswered()
        if not self._written:
            raise TranslationError("messages: at least one user message is required", param="messages")
        return self._written

    # User turns

    def _user(self, content: Sequence[ContentBlock], path: str) -> None:
        parts: list[Part] = []
        results = False
        for position, block in enumerate(content):
            # The paths of blocks are spelt out only where they are needed: this loop is hot.
            if isinstance(block, RawResultBlock | ToolResultBlock):
                self._result(block, path, position)
                results = True
            elif isinstance(block, TextBlock):
                self._text(block, parts)
            elif isinstance(block, ImageBlock | DocumentBlock | SearchResultBlock):
                parts += self._blocks.part(block, f"{path}.content.{position}")
            else:
                raise _misplaced(block, "assistant", f"{path}.content.{position}")
        if parts:
            self._write({"role": "user", "content": parts})
        elif not results:
            raise TranslationError(f"{path}: all messages must have non-empty content", param=path)
        if results and len(self._results) == len(self._calls):
            self._settle()

    def _text(self, block: TextBlock, parts: list[Part]) -> None:
        if block.cache_control is not None:
            self._dropped.append("cache_control")
        if block.text:
            parts.append({"type": "text", "text": block.text})

    def _result(self, block: ToolResultBlock | RawResultBlock, path: str, position: int) -> None:
        call = block.tool_use_id
        if call not in self._calls or call in self._results:
            param = f"{path}.content.{position}.tool_use_id"
            why = "has been answered before" if call in self._results else "is not a call of the previous message"
            raise TranslationError(f"{param}: '{call[:64]}' {why}", param=param)
        if block.cache_control is not None:
            self._dropped.append("cache_control")
        content = block.content
        if isinstance(content, msgspec.Raw):
            if _TEXT.match(content) and not block.is_error:
                self._results[call] = {"role": "tool", "tool_call_id": call, "content": content}
                return
            content = read_part(_CONTENT, content, f"{path}.content.{position}.content") if content else None
        if content is None or isinstance(content, str):
            text: str | list[Part] = content or self._dialect.empty_tool_result
            if block.is_error:
                text = mark_error(content or "")
        else:
            text = self._result_content(block, content, f"{path}.content.{position}.content")
        self._results[call] = {"role": "tool", "tool_call_id": call, "content": text}

    def _result_content(
        self, block: ToolResultBlock | RawResultBlock, content: list[ResultContent], path: str
    ) -> str | list[Part]:
        parts = [
            part for position, item in enumerate(content) for part in self._blocks.part(item, f"{path}.{position}")
        ]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        attached = [part for part in parts if part["type"] != "text"]
        if attached and not self._dialect.tool_result_images:
            self._attached += [text_part(f"[attached to the result of {block.tool_use_id}]"), *attached]
            text = f"{text}\n{_below(attached)}" if text else _below(attached)
        if block.is_error:
            text = mark_error(text)
        if attached and self._dialect.tool_result_images:
            return [text_part(text), *attached] if text else attached
        return text or self._dialect.empty_tool_result

    def _settle(self) -> None:
        """Write the results in the order of the calls, whatever order they came in, then what waited for them."""
        self._written += [self._results[call] for call in self._calls]
        self._calls.clear()
        self._results.clear()
        held, self._held = self._held, []
        if self._attached:
            own = held.pop(0)["content"] if held and isinstance(held[0]["content"], list) else []
            held.insert(0, {"role": "user", "content": self._attached + own})
            self._attached = []
        for message in held:
            self._write(message)

    def _refuse_unanswered(self) -> None:
        for call, path in self._calls.items():
            if call not in self._results:
                message = f"{path}: `tool_use` id '{call[:64]}' has no `tool_result` in the message after it"
                raise TranslationError(message, param=path)

    def _write(self, message: OpenAIMessage) -> None:
        if self._calls:
            self._held.append(message)
            return
        if isinstance(message["content"], list):
            message["content"] = self._merged(message["content"])
        self._written.append(message)

    def _merged(self, parts: list[Part]) -> str | list[Part]:
        """Return a lone text as a string, and several as one where the upstream knows text only."""
        if len(parts) == 1 and parts[0]["type"] == "text":
            return str(parts[0]["text"])
        if not self._dialect.images and all(part["type"] == "text" for part in parts):
            return "\n\n".join(part["text"] for part in parts)
        return parts

    # System messages

    def _mid_system(self, content: str | Sequence[ContentBlock], path: str) -> None:
        text = content if isinstance(content, str) else "\n\n".join(self._system_texts(content, path))
        if not text:
            return
        if not self._written:
            self.system.append(text)
            return
        if self._dialect.mid_system is MidSystem.HOIST:
            self.system.append(text)
        elif self._dialect.mid_system is MidSystem.REMINDER:
            self._write({"role": "user", "content": system_reminder(text)})
        else:
            self._write({"role": "system", "content": text})

    def _system_texts(self, content: Sequence[ContentBlock], path: str) -> list[str]:
        texts = []
        for position, block in enumerate(content):
            if not isinstance(block, TextBlock):
                raise _misplaced(block, "user or assistant", f"{path}.content.{position}")
            texts += [part["text"] for part in self._blocks.part(block, path)]
        return texts

    # Assistant turns

    def _assistant(self, content: Sequence[ContentBlock], path: str) -> None:
        if self._results or self._held:
            self._refuse_unanswered()
        text: list[str] = []
        reasoning: list[str] = []
        calls: list[Part] = []
        for position, block in enumerate(content):
            if isinstance(block, ToolUseBlock):
                calls.append(self._call(block, path, position))
            elif isinstance(block, TextBlock):
                if block.cache_control is not None:
                    self._dropped.append("cache_control")
                text.append(block.text)
            elif isinstance(block, ThinkingBlock):
                reasoning.append(block.thinking)
            elif isinstance(block, RedactedThinkingBlock | ServerToolUseBlock | McpToolUseBlock):
                self._dropped.append(f"messages.{_tag(block)}")
            elif isinstance(block, ServerToolResult):
                text.append(self._server_result(block))
            else:
                raise _misplaced(block, "user", f"{path}.content.{position}")
        self._speak("".join(text), "".join(reasoning), calls)

    def _speak(self, text: str, reasoning: str, calls: list[Part]) -> None:
        """Write an assistant message, or join it to the one before it if calls would part from their results."""
        field = self._dialect.reasoning_field
        if reasoning and field is None:
            self._dropped.append("messages.thinking")
            reasoning = ""
        last = self._written[-1] if self._written else None
        if last is not None and last["role"] == "assistant" and (calls or "tool_calls" in last):
            # Taken out before they grow, so that they grow in place: a long run of messages must not cost its square.
            before = last.pop("content") or ""
            before += text
            thought = last.pop(field or "", "")
            thought += reasoning
            called = last.pop("tool_calls", [])
            called += calls
            text, reasoning, calls, message = before, thought, called, last
        elif text or calls or reasoning:
            message = {"role": "assistant"}
            self._written.append(message)
        else:
            return
        message["content"] = text or (None if calls else "")
        if reasoning and field is not None:
            message[field] = reasoning
        if calls:
            message["tool_calls"] = calls

    def _call(self, block: ToolUseBlock, path: str, position: int) -> Part:
        call = block.id
        if call in self._calls:
            param = f"{path}.content.{position}.id"
            raise TranslationError(f"{param}: `tool_use` ids must be unique, '{call[:64]}' is not", param=param)
        raw = bytes(block.input)
        if not raw.startswith(b"{"):
            param = f"{path}.content.{position}.input"
            raise TranslationError(f"{param}: Input should be a valid dictionary", param=param)
        if too_deep(raw, self._limits.json_depth):
            check_depth(raw, self._limits.json_depth, f"{path}.content.{position}.input")
        if block.cache_control is not None:
            self._dropped.append("cache_control")
        name = self._names.upstream(block.name)
        self._calls[call] = path
        self.called.append(name)
        if b"\n" in raw:
            # Strings cannot hold a bare line end, so this is a body indented for people.
            raw = msgspec.json.format(raw, indent=-1)
        # Otherwise the client's own bytes, so that the call reads the same on every turn.
        return {"id": call, "type": "function", "function": {"name": name, "arguments": raw.decode()}}

    def _server_result(self, block: ServerToolResult) -> str:
        text = server_result_text(block)
        if not text:
            self._dropped.append(f"messages.{_tag(block)}")
            return ""
        return f"\n[{_tag(block)}]\n{text}\n"


def _below(attached: list[Part]) -> str:
    images = sum(part["type"] == "image_url" for part in attached)
    counts = ((images, "image"), (len(attached) - images, "file"))
    said = [f"{count} {what}{'s' if count > 1 else ''}" for count, what in counts if count]
    return f"[{' and '.join(said)} attached below]"


def _misplaced(block: ContentBlock, role: str, path: str) -> TranslationError:
    return TranslationError(f"{path}: `{_tag(block)}` blocks can only be in {role} messages", param=path)


def _tag(block: ContentBlock) -> str:
    return str(block.__struct_config__.tag)
