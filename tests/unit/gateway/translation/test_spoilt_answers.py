"""
P-48: whatever an upstream sends, nothing crashes and the client's side ends well or with exactly one error.

Every machine is fed streams of either dialect, so half of them are of the wrong one altogether.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.convert import StreamConversion, events_of_stream, whole_answer
from services.gateway.translation.streams.fold import Answer
from services.gateway.translation.streams.read_anthropic import AnthropicReader, read_anthropic_batch
from services.gateway.translation.streams.read_openai import OpenAIReader, read_openai_batch
from services.gateway.translation.streams.write_anthropic import AnthropicWriter, write_anthropic_batch
from services.gateway.translation.streams.write_openai import OpenAIWriter, write_openai_batch
from tests.support.frames import call
from tests.support.generated_streams import VALUES, anthropic_streams, cut, openai_streams, spoilt
from tests.support.promises import show
from tests.support.stream_validators import check_anthropic_stream, check_openai_stream

CONTEXTS = st.builds(
    ResponseContext,
    requested_model=st.just("m"),
    include_usage=st.booleans(),
    legacy_functions=st.booleans(),
    inline_think_tags=st.booleans(),
    stop_sequences=st.sampled_from([(), ("w",), ("0w", "}")]),
)


class Ids:
    """Makes ids that are the same in every run."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}new{self._made}"


def for_anthropic(context: ResponseContext, reads: list[bytes]) -> bytes:
    conversion = StreamConversion(OpenAIReader(context, Ids()), AnthropicWriter(context))
    return b"".join([*map(conversion.feed, reads), conversion.eof()])


def for_openai(context: ResponseContext, reads: list[bytes]) -> bytes:
    conversion = StreamConversion(AnthropicReader(context, Ids()), OpenAIWriter(context, created=7))
    return b"".join([*map(conversion.feed, reads), conversion.eof()])


def check_bodies(context: ResponseContext, answer: Answer) -> bytes:
    """Write a body for either client; both are whole."""
    message = json.loads(write_anthropic_batch(answer, context))
    assert message["content"]
    assert all(isinstance(block["input"], dict) for block in message["content"] if block["type"] == "tool_use")
    [choice] = json.loads(write_openai_batch(answer, context, created=7))["choices"]
    assert choice["finish_reason"]
    return b""


def spoil_streams(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        context = data.draw(CONTEXTS)
        stream = data.draw(spoilt(data.draw(st.one_of(openai_streams(), anthropic_streams()))))
        reads = data.draw(cut(stream))
        anthropic, openai = for_anthropic(context, reads), for_openai(context, reads)

        check_anthropic_stream(anthropic)
        check_openai_stream(openai, include_usage=context.include_usage, legacy=context.legacy_functions)
        assert anthropic == for_anthropic(context, [stream])
        assert openai == for_openai(context, [stream])
        for reader in (OpenAIReader(context, Ids()), AnthropicReader(context, Ids())):
            whole_answer(events_of_stream(reader, stream), lambda answer: check_bodies(context, answer))

    run()
    show("P-48", examples, 0, what="streams")


OPENAI_BODY = {
    "id": "up-1",
    "model": "glm-4.6",
    "choices": [
        {
            "index": 0,
            "message": {"content": "w", "reasoning_content": "r", "tool_calls": [call(0, "{}", name="f", call_id="a")]},
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens": 2},
}
ANTHROPIC_BODY = {
    "id": "msg_up",
    "model": "glm-4.6",
    "content": [
        {"type": "thinking", "thinking": "r", "signature": "s"},
        {"type": "text", "text": "w"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@st.composite
def spoilt_bodies(draw: st.DrawFn) -> bytes:
    """A body in which something is replaced, or of which some bytes are."""

    def replaced(value: Any) -> Any:
        if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
            return draw(VALUES)
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        at = draw(st.sampled_from(keys))
        changed = value.copy()
        if draw(st.integers(0, 9)):
            changed[at] = replaced(value[at])
        else:
            del changed[at]
        return changed

    body = json.dumps(replaced(draw(st.sampled_from([OPENAI_BODY, ANTHROPIC_BODY])))).encode()
    if draw(st.booleans()):
        return body
    at = draw(st.integers(0, len(body)))
    return body[:at] + draw(st.binary(max_size=2)) + body[at + draw(st.integers(0, 2)) :]


def spoil_bodies(examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        context, body = data.draw(CONTEXTS), data.draw(spoilt_bodies())
        for read in (read_openai_batch, read_anthropic_batch):
            events = read(body, context, Ids())
            whole = whole_answer(events, lambda answer: check_bodies(context, answer))
            assert isinstance(whole, Fault) or whole.usage is not None
            check_anthropic_stream(AnthropicWriter(context).write(events))
            stream = OpenAIWriter(context, created=7).write(events)
            check_openai_stream(stream, include_usage=context.include_usage, legacy=context.legacy_functions)

    run()
    show("P-48", examples, 0, what="bodies")


@pytest.mark.promise("P-48")
def test_a_spoilt_stream_ends_well_or_with_one_error() -> None:
    spoil_streams(250)


@pytest.mark.promise("P-48")
def test_a_spoilt_body_is_an_answer_or_one_error() -> None:
    spoil_bodies(250)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P-48")
def test_5000_spoilt_streams_end_well_or_with_one_error() -> None:
    spoil_streams(5000)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P-48")
def test_5000_spoilt_bodies_are_answers_or_one_error() -> None:
    spoil_bodies(5000)
