"""Pass-through of OpenAI streams: untouched where they are right, repaired where they are not."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.passthrough.openai_repair import OpenAIRepair
from services.gateway.translation.streams.events import Usage
from tests.support.frames import DONE, call, calls, chunk, data
from tests.support.openai_streams import (
    BROKEN,
    CLEAN,
    FINISH,
    FIRST,
    QUIRKY,
    REPAIRED,
    USAGE,
    bodies,
    passed,
    repair,
    texts,
)
from tests.support.stream_validators import check_openai_stream


@pytest.mark.parametrize("stream", CLEAN.values(), ids=CLEAN)
def test_a_right_stream_passes_byte_for_byte_and_is_one(stream: bytes) -> None:
    machine = repair()

    assert passed(stream, machine) == stream
    assert (machine.begun, machine.finished, machine.fault, machine.usage) == (True, True, None, None)
    if stream is not CLEAN["tools"]:
        assert check_openai_stream(passed(stream)).reason


@pytest.mark.parametrize("stream", QUIRKY.values(), ids=QUIRKY)
def test_an_unusual_stream_that_clients_read_passes_byte_for_byte(stream: bytes) -> None:
    machine = repair()

    assert passed(stream, machine) == stream
    assert (machine.finished, machine.fault) == (True, None)


def test_a_read_of_plain_text_deltas_comes_back_as_the_same_object() -> None:
    machine = repair(limit=65536)
    machine.feed(FIRST + texts("a"))
    read = texts(*"some words that the model said")

    assert machine.feed(read) is read


def test_a_cut_frame_at_the_end_of_a_read_waits_for_its_rest() -> None:
    machine = repair()
    machine.feed(FIRST + texts("a"))
    read = texts(*"abcdef")

    assert machine.feed(read[:-5]) == texts(*"abcde")
    assert machine.feed(read[-5:]) == texts("f")


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize("stream", [*CLEAN.values(), *QUIRKY.values(), *REPAIRED.values(), *BROKEN.values()])
@pytest.mark.promise("P-47")
def test_a_stream_split_at_every_byte_gives_the_same_bytes(stream: bytes, include_usage: bool) -> None:
    whole = repair(include_usage=include_usage)
    expected = passed(stream, whole)

    by_byte = repair(include_usage=include_usage)
    assert b"".join(by_byte.feed(bytes([byte])) for byte in stream) + by_byte.eof() == expected
    for at in range(0, len(stream), 1 if len(stream) < 1500 else 37):
        machine = repair(include_usage=include_usage)
        assert machine.feed(stream[:at]) + machine.feed(stream[at:]) + machine.eof() == expected, at
        assert (machine.usage, machine.fault, machine.begun) == (whole.usage, whole.fault, whole.begun)


@given(st.sampled_from([*CLEAN.values(), *REPAIRED.values(), *BROKEN.values()]), st.data())
@pytest.mark.promise("P-47")
def test_a_stream_merged_at_random_gives_the_same_bytes(stream: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    machine = repair()

    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert b"".join(machine.feed(piece) for piece in pieces) + machine.eof() == passed(stream)


def test_repeated_roles_are_dropped_and_the_text_keeps_its_bytes() -> None:
    out = passed(REPAIRED["role in every chunk"])

    assert [chunk["choices"][0]["delta"] for chunk in bodies(out)[:-2]] == [
        {"role": "assistant", "content": "a"},
        *({"content": letter} for letter in "bcdef"),
    ]
    assert check_openai_stream(out).text == "abcdef"


def test_each_choice_has_a_role_of_its_own() -> None:
    second = [{"index": 1, "delta": {"role": "assistant", "content": "x"}}]
    out = bodies(passed(FIRST + data(json.loads(FIRST[6:]) | {"choices": second}) * 2 + FINISH + DONE))

    assert out[1]["choices"][0]["delta"] == {"role": "assistant", "content": "x"}
    assert out[2]["choices"][0]["delta"] == {"content": "x"}


def test_the_object_is_named_in_every_chunk() -> None:
    assert {chunk["object"] for chunk in bodies(passed(REPAIRED["no object"]))[:-1]} == {"chat.completion.chunk"}


@pytest.mark.parametrize(("case", "reason"), [("sensitive", "content_filter"), ("context window", "length")])
def test_a_finish_reason_that_only_glm_knows_is_translated(case: str, reason: str) -> None:
    assert check_openai_stream(passed(REPAIRED[case])).reason == reason


@pytest.mark.parametrize("case", [case for case in REPAIRED if case.startswith("usage") or case == "glm"])
def test_b134_usage_goes_out_last_in_a_chunk_of_its_own_when_it_was_asked_for(case: str) -> None:
    machine = repair(include_usage=True)
    out = passed(REPAIRED[case], machine)

    *before, last, done = bodies(out)
    assert (last["choices"], last["usage"], done) == ([], USAGE, "[DONE]")
    assert last["object"] == "chat.completion.chunk"
    assert last["id"] == "up-1"
    assert not any("usage" in chunk for chunk in before)
    assert machine.usage == Usage(input=20, cache_read=80, cache_write=0, output=7)


@pytest.mark.parametrize("case", [case for case in REPAIRED if case.startswith("usage") or case == "glm"])
def test_b133_usage_that_only_we_asked_for_never_reaches_the_client(case: str) -> None:
    machine = repair()
    out = passed(REPAIRED[case], machine)

    assert b'"usage"' not in out
    assert all(chunk["choices"] for chunk in bodies(out)[:-1])
    assert machine.usage == Usage(input=20, cache_read=80, cache_write=0, output=7)


def test_a_usage_chunk_in_its_place_passes_byte_for_byte() -> None:
    assert passed(REPAIRED["usage last"], repair(include_usage=True)) == REPAIRED["usage last"]
    assert check_openai_stream(REPAIRED["usage last"], include_usage=True).usage == USAGE


def test_b77_the_last_usage_wins() -> None:
    later = USAGE | {"completion_tokens": 9, "total_tokens": 109}
    machine = repair(include_usage=True)
    out = passed(FIRST + chunk({"content": "a"}, usage=USAGE) + chunk({}, "stop", usage=later) + DONE, machine)

    assert bodies(out)[-2]["usage"] == later
    assert machine.usage is not None
    assert machine.usage.output == 9


def test_a_usage_that_says_nothing_leaves_the_last_one() -> None:
    machine = repair()
    passed(FIRST + chunk({"content": "a"}, usage=USAGE) + chunk({}, "stop", usage={}) + DONE, machine)

    assert machine.usage is not None


def test_usage_is_added_before_a_missing_done() -> None:
    out = passed(FIRST + FINISH + chunk(usage=USAGE), repair(include_usage=True))

    assert check_openai_stream(out, include_usage=True).usage == USAGE


def test_b128_tool_calls_are_counted_from_zero() -> None:
    out = bodies(passed(REPAIRED["tools from one"]))

    assert [chunk["choices"][0]["delta"]["tool_calls"][0]["index"] for chunk in out[1:5]] == [0, 0, 0, 1]


def test_tool_calls_without_an_index_are_told_by_their_ids() -> None:
    out = bodies(passed(REPAIRED["no tool index"]))

    fragments = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in out[1:6]]
    assert [fragment["index"] for fragment in fragments] == [0, 0, 1, 1, 0]
    assert ["id" in fragment for fragment in fragments] == [True, False, True, False, False]


def test_a_fragment_without_index_or_id_begins_the_first_call() -> None:
    out = bodies(passed(FIRST + calls(call(None, "{}", name="f")) + chunk({}, "tool_calls") + DONE))

    [begun] = out[1]["choices"][0]["delta"]["tool_calls"]
    assert begun == {"function": {"name": "f", "arguments": "{}"}, "index": 0, "id": "call_req_1_0_0"}


def test_a_call_without_an_id_gets_one_at_its_start_and_no_other() -> None:
    """The AI SDK throws an answer away whose call begins without."""
    out = bodies(passed(REPAIRED["no tool id"]))

    [first], [second], [third] = (body["choices"][0]["delta"]["tool_calls"] for body in out[1:4])
    assert (first["id"], third["id"]) == ("call_req_1_0_0", "call_req_1_0_1")
    assert "id" not in second


def test_an_id_that_is_a_number_is_a_string() -> None:
    numbered = [call(None, "", name="f") | {"id": 7}, call(None, "{}") | {"id": 7}, call(1, "{}", name="g") | {"id": 8}]
    out = bodies(passed(FIRST + b"".join(map(calls, numbered)) + chunk({}, "tool_calls") + DONE))

    [first], [second], [third] = (body["choices"][0]["delta"]["tool_calls"] for body in out[1:4])
    assert (first["id"], first["index"], third["id"], third["index"]) == ("7", 0, "8", 1)
    assert (second["index"], second.get("id")) == (0, None)


def test_ids_that_are_made_are_legal_in_both_formats() -> None:
    machine = OpenAIRepair("\u00e9 " + "x" * 200, include_usage=False)
    [begun] = bodies(machine.feed(calls(call(0, "{}", name="f"))))[0]["choices"][0]["delta"]["tool_calls"]

    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", begun["id"])


def test_b130_ids_and_names_are_sent_once() -> None:
    out = bodies(passed(REPAIRED["id and name repeated"]))

    fragments = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in out[1:-2]]
    assert ["id" in fragment for fragment in fragments] == [True] + [False] * 7
    assert ["name" in fragment["function"] for fragment in fragments] == [True] + [False] * 7
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == '{"a": 1}'


def test_two_calls_in_one_chunk_are_each_repaired() -> None:
    both = calls(call(1, "{}", name="f", call_id="a"), call(2, "{}", name="g", call_id="b"), {"index": 2, "id": "b"})
    out = bodies(passed(FIRST + both + chunk({}, "tool_calls") + DONE))

    assert [c["index"] for c in out[1]["choices"][0]["delta"]["tool_calls"]] == [0, 1, 1]
    assert out[1]["choices"][0]["delta"]["tool_calls"][2] == {"index": 1}


def test_a_role_and_a_tool_call_in_one_delta_are_both_repaired() -> None:
    both = chunk({"role": "assistant", "tool_calls": [call(5, "{}", name="f", call_id="a")]}, "sensitive")
    choice = bodies(passed(FIRST + both + DONE))[1]["choices"][0]

    assert choice["finish_reason"] == "content_filter"
    assert choice["delta"] == {"tool_calls": [call(0, "{}", name="f", call_id="a")]}


def test_a_read_above_the_limit_takes_the_slow_path_and_passes() -> None:
    machine = repair()
    stream = FIRST + texts("a") + texts(*"abcdefgh" * 20)

    assert machine.feed(FIRST + texts("a")) + machine.feed(texts(*"abcdefgh" * 20)) == stream


def test_lines_that_break_the_sdk_are_dropped() -> None:
    assert passed(REPAIRED["event and id lines"]) == FIRST + texts("a") + FINISH + DONE
    assert passed(REPAIRED["events without data"]) == FIRST + FINISH + DONE


def test_comments_before_the_first_event_come_with_it() -> None:
    machine = repair(limit=400)

    assert machine.feed(b": a\n\n: b\n\n") == b""
    assert not machine.begun
    assert machine.feed(b": " + b"x" * 395 + b"\n\n") == b""
    assert machine.feed(FIRST) == b": a\n\n: b\n\n" + FIRST


def test_repairs_hold_on_after_odd_characters() -> None:
    odd = chunk({"role": "assistant", "content": "a"}).replace(b'"a"', rb'"\ud83d"')

    assert bodies(passed(FIRST + odd + FINISH + DONE))[1]["choices"][0]["delta"] == {"content": "\ufffd"}


def test_frames_that_are_never_alike_pass_all_the_same() -> None:
    stream = FIRST + b"".join(chunk({"content": "x"}, n=number) for number in range(60)) + FINISH + DONE

    assert passed(stream) == stream


def test_a_usage_chunk_alone_begins_the_stream_without_a_byte() -> None:
    machine = repair()

    assert machine.feed(chunk(usage=USAGE)) == b""
    assert machine.begun
