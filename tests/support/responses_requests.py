"""Builds requests of the Responses API, and translates them for either upstream format."""

from typing import Any

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.context import TranslatedRequest
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.responses_to_anthropic import responses_to_anthropic
from services.gateway.translation.requests.responses_to_openai import responses_to_openai

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "hi"}


def request(*items: Json, **fields: Any) -> bytes:
    """A request with some items, or with the smallest input."""
    return msgspec.json.encode({"model": "glm-5.2", "input": list(items) or "hi", **fields})


def function(name: str = "f", **fields: Any) -> Json:
    """A function to offer."""
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **fields}


def call(call_id: str = "c1", name: str = "f", arguments: str = "{}", **fields: Any) -> Json:
    """A call of a function."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **fields}


def output(call_id: str = "c1", said: Any = "done") -> Json:
    """The output of a call."""
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def to_anthropic(body: bytes, limits: RequestLimits | None = None, **dialect: Any) -> TranslatedRequest:
    """Translate for an Anthropic upstream that can do all, but for `dialect`."""
    able = Dialect(**{"reasoning_field": "thinking", "tool_result_images": True, "prefill": True, **dialect})
    return responses_to_anthropic(
        body, able, upstream_model="up", default_max_tokens=1000, limits=limits or RequestLimits()
    )


def to_openai(body: bytes, limits: RequestLimits | None = None, **dialect: Any) -> TranslatedRequest:
    """Translate for an OpenAI upstream that can do all, but for `dialect`."""
    able = Dialect(**{"reasoning_field": "reasoning_content", **dialect})
    return responses_to_openai(body, able, upstream_model="up", limits=limits or RequestLimits())


def sent(translated: TranslatedRequest) -> Json:
    """The upstream's body."""
    body: Json = msgspec.json.decode(translated.body)
    return body
