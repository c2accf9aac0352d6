"""Short ways to translate a Chat Completions request in a test, and to see what became of it."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_ANTHROPIC, Dialect, MidSystem, Thinking
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_to_anthropic import openai_to_anthropic

GLM = GLM_ANTHROPIC
CLAUDE = Dialect(
    thinking=Thinking.BUDGET,
    reasoning_field="thinking",
    verify_signatures=True,
    tool_result_images=True,
    tool_calls_without_tools=False,
    schema_combinators=False,
    stop_limit=None,
    temperature_max=1.0,
    top_k=True,
    files=True,
    prefill=True,
    mid_system=MidSystem.NATIVE,
    user_field="metadata.user_id",
    user_id_max=256,
)
PLAIN = Dialect()


class Translated(msgspec.Struct, frozen=True):
    """The upstream's body as Python values, and the rest."""

    body: dict[str, Any]
    dropped: tuple[str, ...]
    context: ResponseContext
    raw: bytes

    @property
    def messages(self) -> list[Any]:
        """Return the upstream's messages."""
        found: list[Any] = self.body["messages"]
        return found


def body_of(**fields: Any) -> bytes:
    """Return a small valid request's body, with fields set or (by None) taken away."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]} | fields
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def translate_bytes(body: bytes, dialect: Dialect = GLM, limits: RequestLimits | None = None) -> Translated:
    """Translate a body."""
    result = openai_to_anthropic(
        body, dialect, upstream_model="glm-5.2", default_max_tokens=32_000, limits=limits or RequestLimits()
    )
    return Translated(msgspec.json.decode(result.body), result.dropped, result.context, result.body)


def translate(dialect: Dialect = GLM, **fields: Any) -> Translated:
    """Translate the small request with these fields."""
    return translate_bytes(body_of(**fields), dialect)


def refuse_bytes(body: bytes, dialect: Dialect = GLM, limits: RequestLimits | None = None) -> TranslationError:
    """Return the refusal of a body."""
    with pytest.raises(TranslationError) as caught:
        translate_bytes(body, dialect, limits)
    assert caught.value.status == 400
    return caught.value


def refuse(dialect: Dialect = GLM, limits: RequestLimits | None = None, **fields: Any) -> TranslationError:
    """Return the refusal of the small request with these fields."""
    return refuse_bytes(body_of(**fields), dialect, limits)


def system(content: Any, **fields: Any) -> dict[str, Any]:
    """Return a system message."""
    return {"role": "system", "content": content, **fields}


def user(content: Any, **fields: Any) -> dict[str, Any]:
    """Return a user message."""
    return {"role": "user", "content": content, **fields}


def assistant(content: Any = None, *calls: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return an assistant message, with tool calls."""
    message = {"role": "assistant", "content": content, **fields}
    return message | ({"tool_calls": list(calls)} if calls else {})


def call(id_: str | None, name: str = "f", arguments: Any = "{}") -> dict[str, Any]:
    """Return a tool call."""
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def tool(id_: str | None, content: Any = "done", **fields: Any) -> dict[str, Any]:
    """Return a tool message."""
    return {"role": "tool", "tool_call_id": id_, "content": content, **fields}


def function(name: str = "f", **fields: Any) -> dict[str, Any]:
    """Return a tool definition."""
    return {"type": "function", "function": {"name": name, **fields}}


def text(value: str, **fields: Any) -> dict[str, Any]:
    """Return a text part or block; the two look alike."""
    return {"type": "text", "text": value, **fields}


def use(id_: str, name: str = "f", **arguments: Any) -> dict[str, Any]:
    """Return the tool_use block of a call."""
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def answered(id_: str, content: Any = "done", **fields: Any) -> dict[str, Any]:
    """Return the tool_result block of a result."""
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **fields}
