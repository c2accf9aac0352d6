"""Pass-through of Anthropic streams: untouched where they are right, repaired where they are not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.passthrough.anthropic_repair import AnthropicRepair
from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.faults import TRUNCATED
from tests.support.frames import (
    block_delta,
    block_start,
    block_stop,
    data,
    event,
    message_end,
    message_start,
    text_block,
    tool_block,
)
from tests.support.stream_validators import check_anthropic_stream

COUNTS = {"input_tokens": 20, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 0, "output_tokens": 7}
START, END = message_start(), message_end(**COUNTS)
STOP = event("message_stop")
DELTA = END.removesuffix(STOP)
PING = event("ping")


def repair(*, limit: int = 65536) -> AnthropicRepair:
    return AnthropicRepair("req_1", limit=limit, now=1_800_000_000.0)


def passed(stream: bytes, machine: AnthropicRepair | None = None) -> bytes:
    machine = machine or repair()
    return machine.feed(stream) + machine.eof()


def bodies(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream, each of which has its name."""
    found = []
    for frame in stream.split(b"\n\n")[:-1]:
        name, _, body = frame.partition(b"\n")
        found.append(json.loads(body.removeprefix(b"data: ")))
        assert name == b"event: " + found[-1]["type"].encode()
    return found


THINKING = (
    block_start(0, "thinking")
    + b"".join(block_delta(0, "thinking_delta", thinking=c) for c in "hmm")
    + block_delta(0, "signature_delta", signature="sig")
    + block_stop(0)
)
CLEAN = {
    "text": START + text_block(0, "Hel", 'lo "you"\n', "\\", "é") + END,
    "text in many events": START + text_block(0, *"abcdefgh" * 5) + END,
    "thinking": START + THINKING + text_block(1, "a", "b") + END,
    "tools": START
    + tool_block(0, "t0", "f", '{"a"', ":1}")
    + tool_block(1, "t1", "g", "{", "}")
    + message_end("tool_use", **COUNTS),
    "pings": START + PING + text_block(0, "a") + PING + END,
    "comments": b": hello\n\n" + START + b": keep-alive\n\n" + text_block(0, "a") + END,
}
QUIRKY = {
    "crlf": CLEAN["text"].replace(b"\n", b"\r\n"),
    "cr": CLEAN["text"].replace(b"\n", b"\r"),
    "no space, as GLM": CLEAN["text"].replace(b": {", b":{").replace(b"event: ", b"event:"),
    "ping first": PING + CLEAN["text"],
    "unknown event": START + event("brand_new", a=1) + END,
    "unknown delta": START + block_start(0, "text") + block_delta(0, "compaction_delta", x="y") + block_stop(0) + END,
    "neither name nor type": START + data({"a": 1}) + END,
    "odd types": START + event("content_block_delta", index="0", delta="x") + END,
    "two starts": START + START + END,
    "several deltas": START + DELTA + DELTA + STOP,
    "delta missing": START + event("content_block_delta", index=0) + END,
    "half a surrogate": START + text_block(0, "a").replace(b'"a"', rb'"\ud83d"') + END,
    "stop reason null": START + event("message_delta", delta={"stop_reason": None}, usage=COUNTS) + END,
    "id lines": START.replace(b"event", b"id: 1\nevent", 1) + END,
}
BARE = {"type": "message_start", "message": {"id": "msg_1", "model": "glm"}}
REPAIRED = {
    "no event lines": b"".join(
        frame.partition(b"\n")[2] + b"\n\n" for frame in CLEAN["text in many events"].split(b"\n\n")[:-1]
    ),
    "wrong event lines": CLEAN["text"].replace(b"event: content_block_delta", b"event: message"),
    "bare message": event("message_start", message=BARE["message"]) + END,
    "null in message": event("message_start", message={**BARE["message"], "role": None, "usage": None}) + END,
    "no message": event("message_start") + END,
    "half a usage": event("message_start", message={**BARE["message"], "usage": {"input_tokens": 5}}) + END,
    "only usage is missing a count": START.replace(b', "output_tokens": 1', b"") + END,
    "no signature": START
    + event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
    + block_delta(0, "thinking_delta", thinking="x")
    + block_stop(0)
    + END,
    "no usage at the end": START + event("message_delta", delta={"stop_reason": "end_turn"}) + STOP,
    "no output count": START
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"input_tokens": 4})
    + STOP,
    "no message_stop": START + text_block(0, "a") + DELTA,
    "no last blank line": CLEAN["text"].rstrip(),
    "done": CLEAN["text"].removesuffix(STOP) + b"data: [DONE]\n\n",
    "done after stop": CLEAN["text"] + b"data: [DONE]\n\n",
    "pretty": START.replace(b'"content": [], ', b"\ndata: ") + END,
}
OPEN = START + block_start(0, "text") + block_delta(0, "text_delta", text="a")
IN_ORDER = event("error", error={"type": "overloaded_error", "message": "busy"})
BROKEN = {
    "cut": START + text_block(0, "a"),
    "cut in a block": OPEN,
    "cut in an event": OPEN + block_stop(0)[:-9],
    "bad json": OPEN + b'event: content_block_delta\ndata: {"type":\n\n' + END,
    "no object at all": OPEN + data([1]),
    "error in order": START + text_block(0, "a") + IN_ORDER + END,
    "error of GLM": OPEN + data({"error": {"message": "busy", "type": "1305"}}),
    "error without a name": OPEN + IN_ORDER.partition(b"\n")[2],
    "error of another type": OPEN + event("error", error={"type": "server_error", "message": "x"}),
    "error without words": OPEN + event("error", error={"type": "api_error"}),
    "error that is a string": OPEN + event("error", error="oops"),
    "gateway error": OPEN + data({"code": 3007, "msg": "captcha"}),
    "odd error": OPEN + data({"index": "x", "error": "y"}),
    "too large": START + text_block(0, "a", "x" * 70000) + END,
}


@pytest.mark.parametrize("stream", CLEAN.values(), ids=CLEAN)
def test_a_right_stream_passes_byte_for_byte_and_is_one(stream: bytes) -> None:
    machine = repair()

    assert passed(stream, machine) == stream
    assert (machine.begun, machine.finished, machine.fault) == (True, True, None)
    assert machine.usage == Usage(input=20, cache_read=80, cache_write=0, output=7)
    assert check_anthropic_stream(stream).reason


@pytest.mark.parametrize("stream", QUIRKY.values(), ids=QUIRKY)
def test_an_unusual_stream_that_clients_read_passes_byte_for_byte(stream: bytes) -> None:
    machine = repair()

    assert passed(stream, machine) == stream
    assert (machine.finished, machine.fault) == (True, None)


def test_a_read_of_plain_text_deltas_comes_back_as_the_same_object() -> None:
    machine = repair()
    machine.feed(START + block_start(0, "text") + block_delta(0, "text_delta", text="a"))
    read = b"".join(block_delta(0, "text_delta", text=c) for c in "some words that the model said")

    assert machine.feed(read) is read


@pytest.mark.parametrize("stream", [*CLEAN.values(), *QUIRKY.values(), *REPAIRED.values(), *BROKEN.values()])
@pytest.mark.promise("P-47")
def test_a_stream_split_at_every_byte_gives_the_same_bytes(stream: bytes) -> None:
    whole = repair()
    expected = passed(stream, whole)

    by_byte = repair()
    assert b"".join(by_byte.feed(bytes([byte])) for byte in stream) + by_byte.eof() == expected
    for at in range(0, len(stream), 1 if len(stream) < 1800 else 1 + len(stream) // 60):
        machine = repair()
        assert machine.feed(stream[:at]) + machine.feed(stream[at:]) + machine.eof() == expected, at
        assert (machine.usage, machine.fault, machine.begun) == (whole.usage, whole.fault, whole.begun)


@given(st.sampled_from([*CLEAN.values(), *REPAIRED.values(), *BROKEN.values()]), st.data())
@pytest.mark.promise("P-47")
def test_a_stream_merged_at_random_gives_the_same_bytes(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    machine = repair()

    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(machine.feed(piece) for piece in pieces) + machine.eof() == passed(stream)


@pytest.mark.parametrize("case", ["no event lines", "wrong event lines"])
def test_every_event_gets_its_line(case: str) -> None:
    out = passed(REPAIRED[case])

    assert check_anthropic_stream(out).text
    assert out == CLEAN["text in many events" if case == "no event lines" else "text"]


@pytest.mark.parametrize("case", ["bare message", "null in message"])
def test_a_message_start_gets_what_is_missing(case: str) -> None:
    [start, *_] = bodies(passed(REPAIRED[case]))

    assert start["message"] == {
        "id": "msg_1",
        "model": "glm",
        "type": "message",
        "role": "assistant",
        "content": [],
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def test_a_message_start_without_a_message_gets_one() -> None:
    assert bodies(passed(REPAIRED["no message"]))[0]["message"]["role"] == "assistant"


@pytest.mark.parametrize(("case", "count"), [("half a usage", 5), ("only usage is missing a count", 3)])
def test_a_usage_at_the_start_keeps_what_it_says(case: str, count: int) -> None:
    [start, *_] = bodies(passed(REPAIRED[case]))

    assert start["message"]["usage"] == {"input_tokens": count, "output_tokens": 0}
    assert start["message"]["role"] == "assistant"


def test_a_thinking_block_starts_with_a_signature() -> None:
    [_, start, *_] = bodies(passed(REPAIRED["no signature"]))

    assert start["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert check_anthropic_stream(passed(REPAIRED["no signature"])).reasoning == "x"


def test_a_message_delta_has_usage() -> None:
    assert bodies(passed(REPAIRED["no usage at the end"]))[-2]["usage"] == {"output_tokens": 1}
    assert bodies(passed(REPAIRED["no output count"]))[-2]["usage"] == {"input_tokens": 4, "output_tokens": 1}
    without = event("message_start", message=BARE["message"]) + event(
        "message_delta", delta={"stop_reason": "end_turn"}
    )
    assert bodies(passed(without))[-2]["usage"] == {"output_tokens": 0}
    never = event("message_delta", delta={"stop_reason": "end_turn"})
    assert bodies(passed(never))[0]["usage"] == {"output_tokens": 0}


def test_b131_the_counts_of_the_end_replace_the_estimate_of_the_start() -> None:
    machine = repair()
    start = message_start(input_tokens=34824, output_tokens=0)
    passed(start + message_end(input_tokens=3883, cache_read_input_tokens=30464, output_tokens=9), machine)

    assert machine.usage == Usage(input=3883, cache_read=30464, output=9)


@pytest.mark.parametrize("case", ["no message_stop", "done", "no last blank line", "done after stop"])
def test_a_stream_with_a_stop_reason_ends_well(case: str) -> None:
    machine = repair()
    out = passed(REPAIRED[case], machine)

    assert check_anthropic_stream(out).reason == "end_turn"
    assert machine.fault is None
    if case != "no message_stop":
        assert bodies(out) == bodies(CLEAN["text"])


def test_an_event_on_several_lines_is_written_on_one_when_it_is_repaired() -> None:
    stream = REPAIRED["pretty"]
    assert stream.count(b"data: ") == 4

    assert bodies(passed(stream))[0]["message"]["content"] == []


@pytest.mark.parametrize("case", ["cut", "cut in a block", "cut in an event"])
def test_b136_a_stream_without_a_stop_reason_ends_in_an_error_and_no_block_stays_open(case: str) -> None:
    machine = repair()
    seen = check_anthropic_stream(passed(BROKEN[case], machine))

    assert seen.error is not None
    assert "before the answer was complete" in seen.error["message"]
    assert machine.fault is TRUNCATED


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("error of GLM", "overloaded_error"),
        ("error without a name", "overloaded_error"),
        ("error of another type", "api_error"),
        ("error without words", "api_error"),
        ("error that is a string", "api_error"),
        ("gateway error", "permission_error"),
        ("odd error", "api_error"),
    ],
)
def test_an_error_gets_its_envelope_and_ends_the_stream(case: str, kind: str) -> None:
    machine = repair()
    seen = check_anthropic_stream(passed(BROKEN[case], machine))

    assert seen.error is not None
    assert seen.error["type"] == kind
    assert machine.fault is not None


def test_an_error_that_is_in_order_passes_byte_for_byte() -> None:
    machine = repair()

    assert passed(BROKEN["error in order"], machine) == START + text_block(0, "a") + IN_ORDER
    assert machine.fault is not None
    assert machine.fault.anthropic_status == 529


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (IN_ORDER, 529),
        (PING + IN_ORDER, 529),
        (data({"error": {"message": "no balance", "type": "1113"}}), 402),
        (data({"code": 3007, "msg": "captcha"}), 403),
        (b"event: error\ndata: {}\n\n", 502),
        (b"<html>", 502),
        (b"event: message_start\ndata: nonsense\n\n", 502),
        (STOP, 502),
        (PING, 502),
        (b"", 502),
    ],
)
def test_b82_an_error_before_the_first_event_is_known_before_anything_is_passed(stream: bytes, status: int) -> None:
    machine = repair()
    machine.feed(stream)
    machine.eof()

    assert not machine.begun
    assert machine.finished
    assert machine.fault is not None
    assert (machine.fault.anthropic_status or machine.fault.status) == status


@pytest.mark.parametrize("case", ["bad json", "no object at all", "too large"])
def test_what_cannot_be_read_ends_the_stream_in_an_error(case: str) -> None:
    machine = repair()

    assert check_anthropic_stream(passed(BROKEN[case], machine)).error is not None
    assert machine.fault is not None


def test_a_failure_from_outside_closes_the_open_block_and_a_ping_may_stand_anywhere() -> None:
    machine = repair()
    out = (
        machine.feed(OPEN)
        + machine.ping()
        + machine.feed(block_stop(0)[:20])
        + machine.ping()
        + machine.fail(TRUNCATED)
    )

    seen = check_anthropic_stream(out)
    assert (seen.text, seen.pings) == ("a", 2)
    assert machine.feed(block_stop(0)[20:]) == b""


def test_usage_with_impossible_characters_is_still_read() -> None:
    machine = repair()
    delta = DELTA.replace(b'"output_tokens": 7', b'"output_tokens": 7, "note": "\xff"')

    assert passed(START + delta + STOP, machine) == START + delta + STOP
    assert machine.usage is not None
    assert machine.usage.output == 7


def test_nesting_without_end_ends_the_stream_in_an_error() -> None:
    machine = repair()
    deep = b'event: message_delta\ndata: {"type":"message_delta","usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n"

    assert check_anthropic_stream(passed(START + deep, machine)).error is not None
    assert machine.fault is not None
