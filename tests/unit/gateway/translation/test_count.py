"""The estimate of a request's tokens: what is counted, and how near it comes."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.count import count_request_tokens, count_text_tokens
from services.gateway.translation.refusal import TranslationError

PROSE = (
    "The committee met on a rainy Thursday to decide whether the old bridge should be repaired or replaced. After three"
    " hours of patient discussion, nobody had changed their mind, but everyone agreed that the coffee was excellent. "
)
CODE = """def total(self, items: list[Item]) -> Decimal:
    return sum((item.price * item.count for item in items), start=Decimal("0.00"))


class Basket:
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.items: list[Item] = []
"""
CHINESE = "人工智能正在改变我们的生活方式。许多公司已经开始在日常工作中使用大型语言模型来编写代码、撰写报告以及回答客户的问题。"


def count(*content: Any, **fields: Any) -> int:
    message = {"role": "user", "content": list(content)}
    return count_request_tokens(json.dumps({"model": "m", "messages": [message], **fields}).encode())


def refuse(body: bytes) -> TranslationError:
    with pytest.raises(TranslationError) as caught:
        count_request_tokens(body)
    assert caught.value.status == 400
    return caught.value


NOTHING = count()


@pytest.mark.parametrize(("text", "tokens"), [(PROSE, 42), (CODE, 69), (CHINESE, 36)], ids=["prose", "code", "Chinese"])
def test_the_estimate_is_near_what_o200k_says_and_not_below(text: str, tokens: int) -> None:
    estimate = count_text_tokens(text.encode())

    assert tokens <= estimate <= 1.4 * tokens


def test_chinese_is_dearer_than_english_by_the_character() -> None:
    assert count_text_tokens(CHINESE.encode()) / len(CHINESE) > 2.5 * count_text_tokens(PROSE.encode()) / len(PROSE)


@pytest.mark.parametrize(("text", "tokens"), [("é", 0.45), ("中", 0.75), ("\U0001f600", 1.05), ("", 0)])
def test_other_scripts_weigh_by_their_bytes(text: str, tokens: float) -> None:
    assert count_text_tokens(text.encode() * 1000) == pytest.approx(tokens * 1000)


def test_mixed_text_is_the_sum_of_its_parts() -> None:
    parts = count_text_tokens(PROSE.encode()) + count_text_tokens(CHINESE.encode())

    assert count_text_tokens((PROSE + CHINESE).encode()) == pytest.approx(parts)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": PROSE},
        {"type": "thinking", "thinking": PROSE, "signature": "x" * 5000},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"text": PROSE}},
        {"type": "tool_result", "tool_use_id": "a", "content": PROSE},
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": PROSE}]},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": PROSE}]},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": PROSE}},
        {"type": "document", "context": PROSE, "source": {"type": "content", "content": "x"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": PROSE}]}},
        {"type": "some_future_block", "text": PROSE},
        {"type": "web_search_tool_result", "content": {"type": "error", "text": PROSE}},
    ],
)
def test_every_kind_of_block_counts_its_text(block: dict[str, Any]) -> None:
    tokens = count(block) - NOTHING

    assert 42 <= tokens <= 42 * 1.3 + 25


def test_a_picture_costs_what_a_picture_may_cost_and_not_its_bytes() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}}

    assert count(picture) - NOTHING == 1603
    assert count({"type": "tool_result", "tool_use_id": "a", "content": [picture]}) - NOTHING == 1606


def test_documents_cost_by_their_size_or_a_flat_rate() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "A" * 100_000}

    assert count({"type": "document", "source": pdf}) - NOTHING == 4003
    assert count({"type": "document", "source": {"type": "url", "url": "https://host"}}) - NOTHING == 3003
    assert count({"type": "document", "source": {"type": "base64"}}) - NOTHING == 3


def test_redacted_thinking_costs_by_its_length() -> None:
    assert count({"type": "redacted_thinking", "data": "x" * 500}) - NOTHING == 103
    assert count({"type": "redacted_thinking"}) - NOTHING == 3


def test_system_tools_and_schema_are_counted() -> None:
    tool = {"name": "f", "description": PROSE, "input_schema": {"type": "object", "properties": {}}}

    assert count(system=PROSE) - NOTHING >= 42
    assert count(system=[{"type": "text", "text": PROSE}]) - NOTHING >= 42
    assert count(tools=[tool]) - NOTHING >= 200 + 42
    assert count(tools=[tool] * 10) - NOTHING >= 200 + 420
    assert count(output_config={"format": {"type": "json_schema", "schema": {"title": PROSE}}}) - NOTHING >= 42
    assert count(tools=[]) == NOTHING
    assert count(output_config={}) == NOTHING


def test_messages_may_be_strings_and_their_number_counts() -> None:
    one = {"role": "user", "content": "hi"}
    few, many = (count_request_tokens(json.dumps({"model": "m", "messages": [one] * n}).encode()) for n in (1, 101))

    assert 500 <= many - few <= 600


def test_max_tokens_is_not_asked_for() -> None:
    assert count(max_tokens=5) == NOTHING


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', None),
        (b'{"model":"m"}', "messages"),
        (b'{"messages":[]}', "model"),
        (b'{"model":"","messages":[{"role":"user","content":"a"}]}', "model"),
        (b'{"model":"m","messages":[]}', "messages"),
        (b'{"model":"m","messages":[{"role":"user","content":[5]}]}', "messages.0.content.0"),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, param: str | None) -> None:
    assert refuse(body).param == param


@pytest.mark.parametrize("depth", [50, 100])
def test_nested_content_is_counted(depth: int) -> None:
    assert count_request_tokens(nested(depth)) > depth


def test_content_nested_without_end_is_refused() -> None:
    assert refuse(nested(100_000)).param is None


def nested(depth: int) -> bytes:
    content = b'[{"type":"text","content":' * depth + b'"x"' + b"}]" * depth
    return b'{"model":"m","messages":[{"role":"user","content":' + content + b"}]}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "content", "source", "input", "data"]), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(JSON)
def test_any_content_is_counted_or_refused(content: Any) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
    with suppress(TranslationError):
        assert count_request_tokens(body) > 0


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    assert count_text_tokens((text + more).encode()) >= count_text_tokens(text.encode())
