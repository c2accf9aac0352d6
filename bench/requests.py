"""
The requests that the load generator sends: small and 64 KB, batch and stream, in both dialects.

The large one looks like a coding agent's: 20 tools, 30 messages with tool calls and results.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

Dialect = Literal["anthropic", "openai"]

CLIENT_KEY: Final = "bench-client-key"
UPSTREAM_KEY: Final = "bench.upstream-key"
MODEL: Final = "glm-4.6"
LARGE: Final = 64 * 1024

PATHS: Final[Mapping[Dialect, str]] = {"anthropic": "/v1/messages", "openai": "/v1/chat/completions"}

# What official SDKs send, so that a request has the usual number of headers.
_HEADERS: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "accept-language": "*",
    "content-type": "application/json",
    "user-agent": "bench/1.0 (load generator)",
    "x-app": "bench",
    "x-stainless-arch": "x64",
    "x-stainless-lang": "js",
    "x-stainless-os": "Linux",
    "x-stainless-package-version": "1.0.0",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}


def request(
    dialect: Dialect,
    body: Mapping[str, Any],
    *,
    key: str = CLIENT_KEY,
    path: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> bytes:
    """Return a whole HTTP request with a key in the dialect's own header."""
    data = json.dumps(body, separators=(",", ":")).encode()
    auth = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    if dialect == "openai":
        auth = {"authorization": f"Bearer {key}"}
    headers = {"host": "127.0.0.1", **_HEADERS, **auth, **(extra or {}), "content-length": str(len(data))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path or PATHS[dialect]} HTTP/1.1\r\n{head}\r\n".encode() + data


def small(*, stream: bool, model: str = MODEL) -> dict[str, Any]:
    """Return a body of about 246 bytes, valid in both dialects."""
    return {
        "model": model,
        "max_tokens": 1024,
        "stream": stream,
        "messages": [{"role": "user", "content": "Please name the three largest lakes of the world. " * 3}],
    }


def large(dialect: Dialect, *, model: str = MODEL) -> dict[str, Any]:
    """Return a coding agent's body of 64 KB."""
    body = _large_anthropic(model) if dialect == "anthropic" else _large_openai(model)
    missing = LARGE - len(json.dumps(body, separators=(",", ":")))
    opening = next(message for message in body["messages"] if message["role"] == "user")
    opening["content"] += "and so on " * (missing // 10)
    return body


_TURNS: Final = 14
_CODE: Final = 'def handler(request):\n    "Relay one request."\n    return respond(request, status=200)  # line\n'
_RESULT: Final = _CODE * 25
_WORDS: Final = "Reads a file of the project and returns its lines with numbers, at most two thousand of them. " * 4
_SYSTEM: Final = "You are a careful engineer. You read before you write, and you test what you wrote. " * 50


def _schema(index: int) -> dict[str, Any]:
    fields = {
        f"field_{n}": {"type": "string", "description": f"Value {n} of tool {index}, as an absolute path or a pattern."}
        for n in range(5)
    }
    return {"type": "object", "properties": fields, "required": ["field_0"], "additionalProperties": False}


def _arguments(turn: int) -> dict[str, str]:
    return {"field_0": f"/src/module_{turn}.py", "field_1": "*.py"}


def _large_anthropic(model: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Please tidy this project up. "}]
    for turn in range(_TURNS):
        call = {"type": "tool_use", "id": f"call_{turn:04}", "name": f"tool_{turn}", "input": _arguments(turn)}
        result = {"type": "tool_result", "tool_use_id": f"call_{turn:04}", "content": _RESULT}
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "Looking at the next."}, call]})
        messages.append({"role": "user", "content": [result]})
    messages.append({"role": "user", "content": "Now go on."})
    tools = [{"name": f"tool_{n}", "description": _WORDS, "input_schema": _schema(n)} for n in range(20)]
    system = [{"type": "text", "text": _SYSTEM}]
    return {"model": model, "max_tokens": 4096, "stream": False, "system": system, "tools": tools, "messages": messages}


def _large_openai(model: str) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": "Please tidy this project up. "},
    ]
    for turn in range(_TURNS):
        function = {"name": f"tool_{turn}", "arguments": json.dumps(_arguments(turn))}
        call = {"id": f"call_{turn:04}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": "Looking at the next.", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{turn:04}", "content": _RESULT})
    messages.append({"role": "user", "content": "Now go on."})
    tools = [
        {"type": "function", "function": {"name": f"tool_{n}", "description": _WORDS, "parameters": _schema(n)}}
        for n in range(20)
    ]
    return {"model": model, "max_tokens": 4096, "stream": False, "tools": tools, "messages": messages}
