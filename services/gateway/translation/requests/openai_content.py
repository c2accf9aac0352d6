"""The content of one OpenAI message as Anthropic blocks (translation.md A4)."""

import re
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.marks import unmark_error
from services.gateway.translation.requests.openai_images import file_block, image_block
from services.gateway.translation.requests.reading import read_part
from services.gateway.wire.openai import (
    AssistantMessage,
    ImagePart,
    Members,
    RedactedThinkingBlock,
    RefusalPart,
    ResultContent,
    SystemMessage,
    TextPart,
    ThinkingBlock,
    ToolMessage,
    UserMessage,
    UserPart,
)

Block = dict[str, Any]

_ABSENT: Final = frozenset({b"", b"null"})
_NO_INPUT: Final = msgspec.Raw(b"{}")
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_STRING: Final = msgspec.json.Decoder(str)
_RESULT: Final[msgspec.json.Decoder[ResultContent]] = msgspec.json.Decoder(ResultContent)
_PLAIN: Final = re.compile(rb'"(?:[^"\\\[]|\\[^u]|\[[^t\\])')  # ERROR_MARK begins with `[t`, however it is spelled


def _is_plain(content: msgspec.Raw) -> bool:
    """Say whether a result is a text that says something and does not begin like the mark of an error."""
    return _PLAIN.match(content) is not None


def tool_input(arguments: msgspec.Raw, param: str, depth: int) -> msgspec.Raw:
    """
    Return a call's arguments as the JSON object that Anthropic wants, byte for byte where they are one.

    Nothing becomes `{}`, another value `{"value": …}`, and text that is not JSON (a call that was cut off)
    `{"__raw_arguments": "…"}`.
    """
    text = bytes(arguments)
    if text[:1] == b'"':
        text = _STRING.decode(text).strip().encode()
        if not text:
            return _NO_INPUT
        if len(text) > 2 * depth:  # less has no room for it
            check_depth(text, depth, param)
        try:
            found = _RAW.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return msgspec.Raw(msgspec.json.encode({"__raw_arguments": text.decode()}))
        if text[:1] == b"{":
            return found
    elif text in _ABSENT:
        return _NO_INPUT
    elif text[:1] == b"{":
        return arguments
    return msgspec.Raw(b'{"value":' + text + b"}")


class Content:
    """
    Makes blocks under one dialect and notes the hints that are lost.

    `marked`: a block has a cache breakpoint; `inner`: how many blocks inside of results have one.
    """

    def __init__(self, dialect: Dialect, dropped: list[str]) -> None:
        self.marked = False
        self.inner = 0
        self._dialect = dialect
        self._dropped = dropped

    def system(self, message: SystemMessage) -> list[Block]:
        """Return one text block, or none for an empty text. Several parts are paragraphs of one message."""
        self._note_name(message.name)
        cache = message.cache_control
        if isinstance(message.content, str):
            text = message.content
        else:
            text = "\n\n".join(part.text for part in message.content if part.text)
            for part in message.content:
                cache = part.cache_control or cache
        return [self.mark({"type": "text", "text": text}, cache)] if text else []

    def user(self, message: UserMessage, path: str) -> list[Block]:
        """Return the blocks of a user message. Refuses one that says nothing."""
        self._note_name(message.name)
        blocks = self._parts(message.content, f"{path}.content")
        if not blocks:
            raise TranslationError(f"{path}.content: must not be empty", param=f"{path}.content")
        self.mark(blocks[-1], message.cache_control)
        return blocks

    def assistant(self, message: AssistantMessage, path: str) -> list[Any]:
        """Return reasoning, then text; the tool calls are the conversation's business. May be empty."""
        if message.name is not None:
            self._note_name(message.name)
        if message.audio is not None:
            raise TranslationError(f"{path}.audio: audio is not supported by this upstream", param=f"{path}.audio")
        thought = message.thinking_blocks or message.reasoning_content or message.reasoning
        blocks = self._reasoning(message) if thought else []
        content = message.content
        if isinstance(content, str):
            if content:
                blocks.append({"type": "text", "text": content})
            content = None
        for part in content or ():
            text = part.refusal if isinstance(part, RefusalPart) else part.text  # a refusal is text to the model
            if text:
                cache = None if isinstance(part, RefusalPart) else part.cache_control
                blocks.append(self.mark({"type": "text", "text": text}, cache))
        if message.refusal:
            blocks.append({"type": "text", "text": message.refusal})
        return blocks

    def result(self, message: ToolMessage, call_id: str, path: str) -> tuple[Block, list[Block]]:
        """Return the tool_result, and the blocks that have to follow all results."""
        if _is_plain(message.content):
            block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": message.content}
            return self.mark(block, message.cache_control), []
        content = read_part(_RESULT, message.content, f"{path}.content") if message.content else None
        block, attached = self.written_result(content, call_id, path)
        return self.mark(block, message.cache_control), attached

    def written_result(self, content: ResultContent, call_id: str, path: str) -> tuple[Block, list[Block]]:
        """Return the same for content that has been read."""
        block: Block = {"type": "tool_result", "tool_use_id": call_id}
        failed = False
        if isinstance(content, list):
            blocks = self._parts(content, f"{path}.content")
            if blocks and blocks[0]["type"] == "text":
                blocks[0]["text"], failed = unmark_error(blocks[0]["text"])
                blocks = blocks if blocks[0]["text"] else blocks[1:]
            inside, attached = (blocks, []) if self._dialect.tool_result_images else take_out(blocks, call_id)
            said: str | list[Block] = inside
            if self.marked:
                self.inner += sum("cache_control" in part for part in inside)
        else:
            said, failed = unmark_error(content or "")
            attached = []
        said = said or self._dialect.empty_tool_result
        if said:
            block["content"] = said
        if failed:
            block["is_error"] = True
        return block, attached

    def mark(self, block: Block, cache_control: Members | None) -> Block:
        """Give a block a cache breakpoint, if there is one to give."""
        if cache_control is not None:
            block["cache_control"] = cache_control
            self.marked = True
        return block

    def _parts(self, content: str | list[UserPart] | list[TextPart], path: str) -> list[Block]:
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if content else []
        blocks: list[Block] = []
        for position, part in enumerate(content):
            if isinstance(part, TextPart):
                if not part.text:
                    continue
                block: Block = {"type": "text", "text": part.text}
            elif isinstance(part, ImagePart):
                block = self._image(part, f"{path}.{position}.image_url")
                if block["type"] == "text":  # the model cannot see it
                    self._dropped.append("messages.image_url")
            else:
                block = file_block(part.file, self._dialect, f"{path}.{position}.file")
            blocks.append(self.mark(block, part.cache_control))
        return blocks

    def _image(self, part: ImagePart, path: str) -> Block:
        image = part.image_url
        if isinstance(image, str):
            return image_block(image, self._dialect, path)
        if image.detail not in {None, "auto"}:
            self._dropped.append("image_url.detail")
        return image_block(image.url, self._dialect, f"{path}.url")

    def _reasoning(self, message: AssistantMessage) -> list[Any]:
        """
        Return the reasoning that the client replays, as far as the upstream takes it back; never as text.

        One that verifies signatures takes only blocks that carry one (A8.3).
        """
        if message.thinking_blocks:
            return self._thinking_blocks(message.thinking_blocks)
        for name, value in (("reasoning_content", message.reasoning_content), ("reasoning", message.reasoning)):
            if not value:
                continue
            text = value if isinstance(value, str) else ""
            if text.strip() and self._dialect.reasoning_field is not None and not self._dialect.verify_signatures:
                return [{"type": "thinking", "thinking": text, "signature": ""}]
            if not isinstance(value, str) or text.strip():
                self._dropped.append(name)
        return []

    def _thinking_blocks(self, given: list[ThinkingBlock | RedactedThinkingBlock]) -> list[Any]:
        taken = [block for block in given if self._takes(block)]
        if len(taken) < len(given):
            self._dropped.append("thinking_blocks")
        return list(taken)

    def _takes(self, block: ThinkingBlock | RedactedThinkingBlock) -> bool:
        if self._dialect.reasoning_field is None:
            return False
        if isinstance(block, RedactedThinkingBlock) or block.signature:
            return True
        return bool(block.thinking) and not self._dialect.verify_signatures

    def _note_name(self, name: object) -> None:
        if name is not None:
            self._dropped.append("messages.name")


def take_out(blocks: list[Block], call_id: str) -> tuple[list[Block], list[Block]]:
    """Part a result's images and documents from its text, for an upstream that wants them after the results."""
    texts = [block for block in blocks if block["type"] == "text"]
    others = [block for block in blocks if block["type"] != "text"]
    if not others:
        return blocks, []
    texts.append({"type": "text", "text": f"[{len(others)} attached below]"})
    return texts, [{"type": "text", "text": f"[attached to the result of {call_id}]"}, *others]
