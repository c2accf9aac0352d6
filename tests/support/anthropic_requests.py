"""Short ways to translate an Anthropic request in a test, and to see what became of it."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_OPENAI, Dialect, MidSystem
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits

PLAIN = Dialect()
GLM = GLM_OPENAI
GLM_53 = msgspec.structs.replace(GLM_OPENAI, efforts=("low", "high", "max"), thinking_can_be_disabled=False)
REMINDING = Dialect(mid_system=MidSystem.REMINDER)


class Translated(msgspec.Struct, frozen=True):
    """The upstream's body as Python values, and the rest."""

    body: dict[str, Any]
    dropped: tuple[str, ...]
    context: ResponseContext

    @property
    def messages(self) -> list[Any]:
        """Return the upstream's messages."""
        found: list[Any] = self.body["messages"]
        return found


def body_of(**fields: Any) -> bytes:
    """Return a small valid request's body, with fields set or (by None) taken away."""
    body = {"model": "claude", "max_tokens": 1000, "messages": [{"role": "user", "content": "hi"}]} | fields
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def translate(dialect: Dialect = PLAIN, **fields: Any) -> Translated:
    """Translate such a request."""
    result = anthropic_to_openai(body_of(**fields), dialect, upstream_model="glm-4.7", limits=RequestLimits())
    return Translated(msgspec.json.decode(result.body), result.dropped, result.context)


def refuse(dialect: Dialect = PLAIN, limits: RequestLimits | None = None, **fields: Any) -> TranslationError:
    """Return the refusal of such a request."""
    with pytest.raises(TranslationError) as caught:
        anthropic_to_openai(body_of(**fields), dialect, upstream_model="glm-4.7", limits=limits or RequestLimits())
    assert caught.value.status == 400
    return caught.value


def messages_of(*messages: Any, dialect: Dialect = PLAIN) -> list[Any]:
    """Return what becomes of messages."""
    return translate(dialect, messages=messages).messages


def user(*blocks: Any) -> dict[str, Any]:
    """Return a user message; strings are text blocks."""
    return {"role": "user", "content": [_block(block) for block in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    """Return an assistant message; strings are text blocks."""
    return {"role": "assistant", "content": [_block(block) for block in blocks]}


def system(text: str) -> dict[str, Any]:
    """Return a system message."""
    return {"role": "system", "content": text}


def text(value: str, **fields: Any) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": value} | fields


def call(id_: str, name: str = "f", **arguments: Any) -> dict[str, Any]:
    """Return a tool_use block."""
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def result(id_: str, *content: Any, **fields: Any) -> dict[str, Any]:
    """Return a tool_result block; one string is its content, blocks are a list, nothing is no content."""
    block = {"type": "tool_result", "tool_use_id": id_} | fields
    if len(content) == 1 and isinstance(content[0], str):
        return block | {"content": content[0]}
    return block | {"content": [_block(item) for item in content]} if content else block


def called(id_: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """Return what becomes of a tool_use block."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(id_: str, content: Any) -> dict[str, Any]:
    """Return what becomes of a tool_result block."""
    return {"role": "tool", "tool_call_id": id_, "content": content}


def tool(name: str = "f", **fields: Any) -> dict[str, Any]:
    """Return a tool's definition."""
    return {"name": name, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}} | fields


BILLING = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330; cch=71fea;"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
IMAGE_PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PDF = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}}
PDF_PART = {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}}


def _block(block: Any) -> Any:
    return {"type": "text", "text": block} if isinstance(block, str) else block
