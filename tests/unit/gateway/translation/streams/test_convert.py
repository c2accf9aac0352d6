import json

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import faults
from services.gateway.translation.streams.convert import (
    BodyConversion,
    StreamConversion,
    WholeAnswer,
    events_of_stream,
    whole_answer,
)
from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.read_anthropic import AnthropicReader
from services.gateway.translation.streams.read_openai import OpenAIReader, read_openai_batch
from services.gateway.translation.streams.write_anthropic import AnthropicWriter, write_anthropic_batch
from services.gateway.translation.streams.write_openai import OpenAIWriter, write_openai_batch
from tests.support.frames import DONE, call, calls, chunk, data, message_end, message_start, text_block, tool_block
from tests.support.stream_validators import Seen, Tool, check_anthropic_stream, check_openai_stream

CONTEXT = ResponseContext(requested_model="m", stream=True)
FAULT = Fault(status=504, message="too slow")


def for_anthropic() -> StreamConversion:
    return StreamConversion(OpenAIReader(CONTEXT, lambda prefix: f"{prefix}new"), AnthropicWriter(CONTEXT))


def for_openai() -> StreamConversion:
    return StreamConversion(AnthropicReader(CONTEXT, lambda prefix: f"{prefix}new"), OpenAIWriter(CONTEXT, created=7))


def anthropic_sees(*frames: bytes) -> Seen:
    conversion = for_anthropic()
    return check_anthropic_stream(conversion.feed(b"".join(frames)) + conversion.eof())


def test_a_stream_becomes_the_other_dialects() -> None:
    conversion = for_anthropic()
    assert not conversion.begun
    first = conversion.feed(chunk({"role": "assistant", "content": ""}))
    assert conversion.begun
    assert conversion.ping().startswith(b"event: ping")
    rest = conversion.feed(chunk({"content": "hi"}, "stop", usage={"completion_tokens": 2}))
    assert conversion.settled
    assert not conversion.finished
    rest += conversion.feed(DONE)

    assert conversion.finished
    assert conversion.fault is None
    assert conversion.usage == Usage(output=2)
    assert check_anthropic_stream(first + rest).text == "hi"
    assert conversion.feed(DONE) + conversion.eof() + conversion.fail(FAULT) == b""


def test_b82_a_first_frame_that_is_an_error_is_a_fault_before_anything_has_begun() -> None:
    conversion = for_anthropic()
    conversion.feed(data({"error": {"code": "1302", "message": "slow down"}}))

    assert not conversion.begun
    assert conversion.fault is not None
    assert conversion.fault.status == 429


def test_a_transport_that_breaks_is_one_error() -> None:
    to_anthropic, to_openai = for_anthropic(), for_openai()
    anthropic = to_anthropic.feed(chunk({"content": "a"})) + to_anthropic.fail(FAULT)
    openai = to_openai.feed(message_start() + text_block(0, "a")) + to_openai.fail(FAULT)

    assert check_anthropic_stream(anthropic).error == {"type": "timeout_error", "message": "too slow"}
    assert check_openai_stream(openai).error is not None
    assert to_anthropic.fault == to_openai.fault == FAULT
    assert to_anthropic.fail(FAULT) + to_openai.fail(FAULT) == b""


def test_b64_to_b94_one_stream_with_everything_in_it() -> None:
    seen = anthropic_sees(
        chunk({"role": "assistant", "content": None, "reasoning_content": "why"}),
        chunk({"content": "text"}),
        chunk({"tool_calls": [call(0, "", name="f", call_id="a"), call(1, '{"y":', name="g", call_id="b")]}),
        calls(call(0, '{"x":1}')),
        chunk({"content": "\n"}),
        calls(call(1, "2}")),
        chunk({"reasoning_content": "again"}),
        chunk({}, "stop") + chunk(usage={"prompt_tokens": 10, "completion_tokens": 4}) + DONE,
    )

    assert [block["type"] for block in seen.blocks] == ["thinking", "text", "tool_use", "tool_use", "thinking"]
    assert seen.tools == [Tool("a", "f", '{"x":1}'), Tool("b", "g", '{"y":2}')]
    assert (seen.text, seen.reasoning, seen.reason) == ("text", "whyagain", "tool_use")
    assert seen.usage is not None
    assert (seen.usage["input_tokens"], seen.usage["output_tokens"]) == (10, 4)


def test_b79_a_cut_stream_is_an_error_and_has_no_end() -> None:
    seen = anthropic_sees(chunk({"content": "a"}))

    assert seen.text == "a"
    assert seen.error == {"type": "api_error", "message": faults.TRUNCATED.message}


def test_b128_an_anthropic_stream_for_an_openai_client() -> None:
    conversion = for_openai()
    stream = message_start() + text_block(0, "a") + tool_block(1, "t", "f") + tool_block(2, "u", "g", '{"x":1}')
    seen = check_openai_stream(conversion.feed(stream + message_end("tool_use")))

    assert seen.tools == [Tool("t", "f", "{}"), Tool("u", "g", '{"x":1}')]


BODY = json.dumps(
    {
        "id": "1",
        "model": "glm",
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 2},
    }
).encode()


def body_conversion() -> BodyConversion:
    return BodyConversion(lambda body: read_openai_batch(body, CONTEXT, str), AnthropicWriter(CONTEXT))


def test_a_body_becomes_a_stream() -> None:
    conversion = body_conversion()

    assert conversion.feed(BODY[:9]) + conversion.feed(BODY[9:]) == b""
    assert not conversion.begun
    assert conversion.ping() == b": keep-alive\n\n"
    assert check_anthropic_stream(conversion.eof()).text == "hi"
    assert conversion.begun
    assert conversion.finished
    assert conversion.fault is None
    assert conversion.usage == Usage(output=2)
    assert conversion.fail(FAULT) == b""


def test_a_body_that_breaks_or_is_an_error_is_one_error() -> None:
    conversion = body_conversion()
    assert check_anthropic_stream(conversion.fail(FAULT)).error is not None
    assert conversion.fault == FAULT
    conversion = body_conversion()
    conversion.feed(b'{"error":{"code":"1302"}}')
    assert check_anthropic_stream(conversion.eof()).error is not None
    assert conversion.fault is not None
    assert conversion.fault.status == 429


def test_a_stream_becomes_a_body() -> None:
    reader = AnthropicReader(CONTEXT, str)
    events = events_of_stream(reader, message_start() + text_block(0, "a") + message_end())
    whole = whole_answer(events, lambda answer: write_openai_batch(answer, CONTEXT, created=7))

    assert isinstance(whole, WholeAnswer)
    assert json.loads(whole.body)["choices"][0]["message"]["content"] == "a"
    assert whole.usage == Usage(input=3, output=9)


def test_b55_a_stream_or_body_that_failed_is_no_body() -> None:
    events = events_of_stream(OpenAIReader(CONTEXT, str), chunk({"content": "a"}, "network_error"))

    assert whole_answer(events, lambda answer: write_anthropic_batch(answer, CONTEXT)) == faults.INFERENCE
