"""Whatever bytes come as an Anthropic request: they are translated or refused."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from tests.support.anthropic_requests import (
    BILLING,
    GLM,
    GLM_53,
    IMAGE,
    PDF,
    PLAIN,
    assistant,
    body_of,
    call,
    result,
    system,
    text,
    tool,
    user,
)

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_BLOCKS = st.sampled_from(
    [
        "a",
        "",
        IMAGE,
        PDF,
        call("A"),
        call("B", "long.name" * 20),
        result("A", "1"),
        result("B", IMAGE, is_error=True),
        {"type": "thinking", "thinking": "hm"},
        {"type": "redacted_thinking"},
        {"type": "server_tool_use"},
        {"type": "web_search_tool_result", "content": [{"title": "T"}]},
        {"type": "tool_reference", "tool_name": "f"},
        {"type": "teapot"},
    ]
)
_TURNS = st.one_of(
    st.builds(lambda blocks: user(*blocks), st.lists(_BLOCKS, max_size=4)),
    st.builds(lambda blocks: assistant(*blocks), st.lists(_BLOCKS, max_size=4)),
    st.builds(system, st.text(max_size=4)),
    st.builds(lambda role, content: {"role": role, "content": content}, st.text(max_size=4), _VALUES),
)
_FIELDS = st.fixed_dictionaries(
    {"messages": st.lists(_TURNS, max_size=6) | _VALUES},
    optional={
        "tools": st.lists(st.sampled_from([tool(), tool("g.g"), {"type": "bash_20250124"}, {}]), max_size=3) | _VALUES,
        "tool_choice": st.sampled_from([{"type": "any"}, {"type": "tool", "name": "f"}, {"type": "none"}]) | _VALUES,
        **dict.fromkeys(
            [
                "model", "max_tokens", "system", "stream", "stop_sequences", "temperature", "top_p", "top_k", "metadata",
                "thinking", "output_config", "output_format", "container", "service_tier", "zork",
            ],
            _VALUES,
        ),
    },
)  # fmt: skip
_DIALECTS = st.sampled_from(
    [PLAIN, GLM, GLM_53, Dialect(prefill=True, files=True, tool_result_images=True, tool_calls_without_tools=False)]
)


def translates_or_refuses(body: bytes, dialect: Dialect) -> None:
    try:
        done = anthropic_to_openai(body, dialect, upstream_model="m", limits=RequestLimits())
    except TranslationError:
        return
    sent = msgspec.json.decode(done.body)
    assert sent["model"] == "m"
    waiting: list[str] = []
    for message in sent["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
        else:
            assert not waiting
            waiting = [entry["id"] for entry in message.get("tool_calls", [])]


@given(_FIELDS, _DIALECTS)
def test_every_request_translates_or_is_refused(fields: dict[str, Any], dialect: Dialect) -> None:
    """And what is translated has each call's result right after it, in order."""
    translates_or_refuses(body_of(**fields), dialect)


@given(st.binary(max_size=60), _DIALECTS)
def test_any_bytes_translate_or_are_refused(body: bytes, dialect: Dialect) -> None:
    translates_or_refuses(body, dialect)


_WHOLE = body_of(
    system=[BILLING, text("S")],
    messages=[user("a", IMAGE), assistant("b", call("A", x=[1])), user(result("A", "1"), "é")],
    tools=[tool(description="d")],
    metadata={"user_id": "é"},
    stream=True,
)


@given(st.integers(0, len(_WHOLE) - 1), st.integers(0, 3), st.binary(max_size=3), _DIALECTS)
def test_mutated_bytes_translate_or_are_refused(start: int, length: int, put: bytes, dialect: Dialect) -> None:
    translates_or_refuses(_WHOLE[:start] + put + _WHOLE[start + length :], dialect)
