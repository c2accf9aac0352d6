"""How OpenAI streams that are passed through end: rightly, with a [DONE] that was missing, or in an error."""

import pytest

from tests.support.frames import DONE, chunk, data
from tests.support.openai_streams import BROKEN, FINISH, FIRST, REPAIRED, passed, repair, texts
from tests.support.stream_validators import check_openai_stream


def test_b55_network_error_becomes_an_error_event() -> None:
    machine = repair()
    seen = check_openai_stream(passed(BROKEN["network"], machine))

    assert seen.error is not None
    assert "inference" in seen.error["message"]
    assert machine.fault is not None
    assert (machine.fault.status, machine.finished) == (502, True)


def test_b80_a_missing_done_is_added_after_a_finish_reason() -> None:
    assert passed(REPAIRED["no done"]) == REPAIRED["no done"] + DONE
    assert passed(REPAIRED["no last blank line"]) == REPAIRED["no done"] + DONE
    assert passed(REPAIRED["done without its blank line"]) == FIRST + FINISH + DONE
    assert passed(REPAIRED["done cut off"]) == FIRST + FINISH + DONE


@pytest.mark.parametrize("case", ["cut", "cut in a frame"])
def test_b79_a_stream_without_a_finish_reason_ends_in_an_error(case: str) -> None:
    machine = repair()
    seen = check_openai_stream(passed(BROKEN[case], machine))

    assert seen.error is not None
    assert "before the answer was complete" in seen.error["message"]
    assert machine.fault is not None


@pytest.mark.parametrize(
    ("case", "code"),
    [("error", "1305"), ("error with an event line", "1302"), ("gateway error", "3007"), ("odd error", None)],
)
def test_an_error_in_the_stream_ends_it_in_our_envelope(case: str, code: str | None) -> None:
    machine = repair()
    out = passed(BROKEN[case], machine)

    assert check_openai_stream(out).error is not None
    assert machine.fault is not None
    assert machine.fault.upstream_code == code


@pytest.mark.parametrize(
    ("stream", "status"),
    [
        (data({"error": {"code": "1113", "message": "no balance"}}), 429),
        (b": hello\n\n" + data({"error": {"code": "1305", "message": "busy"}}), 503),
        (data({"code": 3007, "msg": "captcha"}), 403),
        (chunk({}, "network_error"), 502),
        (b"<html>", 502),
        (b"data: nonsense\n\n", 502),
        (DONE, 502),
        (b"", 502),
        (b": only comments\n\n", 502),
    ],
)
def test_b82_an_error_before_the_first_event_is_known_before_anything_is_passed(stream: bytes, status: int) -> None:
    machine = repair()
    machine.feed(stream)
    machine.eof()

    assert not machine.begun
    assert machine.finished
    assert machine.fault is not None
    assert machine.fault.status == status


def test_b83_an_empty_stream_says_so() -> None:
    machine = repair()
    machine.eof()

    assert machine.fault is not None
    assert machine.fault.message == "upstream closed the stream without data"


@pytest.mark.parametrize("case", ["bad json", "no object at all"])
def test_what_is_no_json_object_ends_the_stream_in_an_error(case: str) -> None:
    machine = repair()

    assert check_openai_stream(passed(BROKEN[case], machine)).error is not None
    assert machine.fault is not None
    assert machine.fault.status == 502


def test_an_event_above_the_limit_ends_the_stream_in_an_error() -> None:
    machine = repair()
    out = machine.feed(BROKEN["too large"])

    assert out.startswith(FIRST)
    assert machine.finished
    assert machine.fault is not None
    assert "larger than the limit" in machine.fault.message


def test_nothing_follows_the_end() -> None:
    machine = repair()
    stream = FIRST + FINISH + DONE

    assert machine.feed(stream + texts("late")) == stream
    assert machine.feed(texts("later")) == b""
    assert machine.eof() == b""


def test_a_failure_from_outside_ends_the_stream_and_a_ping_may_stand_anywhere() -> None:
    machine = repair()
    out = machine.feed(FIRST) + machine.ping() + machine.feed(texts("a")[:20]) + machine.ping()
    fault = repair()
    fault.eof()
    assert fault.fault is not None
    out += machine.fail(fault.fault)

    assert check_openai_stream(out).error is not None
    assert machine.feed(texts("a")[20:]) == b""
