"""Heads and bodies of scripted answers."""

import gzip
import json

import pytest

from services.simulator import plan
from services.simulator.conversation import read
from services.simulator.plan import Plan
from services.simulator.script import Script, parse
from services.simulator.wire import Wire


def _planned(script: str | Script, wire: Wire = Wire.OPENAI, *, stream: bool = True, accept: bytes = b"") -> Plan:
    body = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    wanted = parse(script) if isinstance(script, str) else script
    return plan.make(read(wire, json.dumps(body).encode()), wanted, accept, 1_767_225_600)


def _body(planned: Plan) -> bytes:
    return b"".join(planned.frames if planned.lazy is None else planned.lazy())


@pytest.mark.parametrize(
    ("script", "stream", "streamed"),
    [("", True, True), ("", False, False), ("answer=json", True, False), ("answer=sse", False, True)],
)
def test_the_answer_is_a_stream_as_asked_or_as_scripted(script: str, stream: bool, streamed: bool) -> None:
    planned = _planned(script, stream=stream)
    kind = dict(planned.headers)[b"content-type"]

    assert planned.streamed == streamed
    assert kind.startswith(b"text/event-stream" if streamed else b"application/json")


def test_an_error_as_status() -> None:
    planned = _planned("error=1302")

    assert planned.status == 429
    assert json.loads(_body(planned))["error"]["code"] == "1302"


def test_an_error_under_http_200() -> None:
    planned = _planned("error=1310;at=ok", Wire.ANTHROPIC)

    assert planned.status == 200
    assert not planned.streamed
    assert json.loads(_body(planned))["error"]["message"].startswith("[1310][Weekly limit")


def test_an_error_as_the_first_event() -> None:
    openai = _planned("error=1305;at=first")
    anthropic = _planned("error=1305;at=first", Wire.ANTHROPIC)

    assert len(openai.frames) == len(anthropic.frames) == 1
    assert openai.frames[0].startswith(b'data: {"error":')
    assert anthropic.frames[0].startswith(b'event: error\ndata: {"type":"error"')


def test_an_error_in_mid_stream_ends_the_stream() -> None:
    half = _planned("error=1234;at=mid;events=10")
    after = _planned("error=1234;at=mid;events=10;after=3")

    assert len(after.frames) == 4
    assert 4 < len(half.frames) < 12
    assert all(b"1234" in planned.frames[-1] and b"[DONE]" not in _body(planned) for planned in (half, after))


def test_an_error_with_a_text_a_shape_and_a_status_of_the_scripts() -> None:
    planned = _planned("error=3012;message=unusual%20activity;error-form=gateway;status=418")

    assert planned.status == 418
    assert json.loads(_body(planned)) == {"code": 3012, "msg": "unusual activity"}


def test_an_error_without_a_body() -> None:
    planned = _planned("error=401;error-form=empty")

    assert (planned.status, planned.frames) == (401, ())


@pytest.mark.parametrize(
    ("kind", "status", "part"), [("html", 403, b"<html>"), ("redirect", 302, b""), ("empty", 200, b"")]
)
def test_answers_that_are_no_chat_answers(kind: str, status: int, part: bytes) -> None:
    planned = _planned(f"answer={kind}")

    assert (planned.status, part) == (status, part if part in _body(planned) else b"missing")
    assert _planned(f"answer={kind};status=201").status == 201


def test_garbage_is_no_json() -> None:
    with pytest.raises(UnicodeDecodeError):
        json.loads(_body(_planned("answer=garbage")))


def test_compression_follows_the_client_or_the_script() -> None:
    plain = _body(_planned("events=3"))
    asked = _planned("events=3;encoding=auto", accept=b"gzip")

    assert (b"content-encoding", b"gzip") in asked.headers
    assert gzip.decompress(_body(asked)) == plain
    assert _planned("events=3;encoding=auto") == _planned("events=3")
    assert dict(_planned("encoding=br").headers)[b"content-encoding"] == b"br"
    assert _planned("events=3", accept=b"gzip") == _planned("events=3")


def test_frames_can_be_given() -> None:
    assert _planned(Script(frames=(b"a", b"b"))).frames == (b"a", b"b")
    assert _planned(Script(frames=(b"{}",)), stream=False).frames == (b"{}",)


def test_bombs_are_made_on_the_way() -> None:
    assert len(_body(_planned("bomb=line;size=1m"))) == 10**6 + 13 + 4
    assert gzip.decompress(_body(_planned("bomb=gzip;size=2m", stream=False))) == b'{"id":"' + b"x" * 2 * 10**6 + b'"}'
    assert _body(_planned("bomb=events;size=2500")).count(b"\n\n") == 2500
    assert _body(_planned("bomb=events;size=10", Wire.ANTHROPIC)).count(b"event: ping") == 10
    assert _planned("bomb=gzip").frames == ()


def test_a_refusal_is_in_the_dialect_of_its_path() -> None:
    openai = plan.refusal(Wire.OPENAI, "1001", "who?", "r")
    anthropic = plan.refusal(Wire.ANTHROPIC, "1001", "who?", "r")

    assert openai.status == anthropic.status == 401
    assert json.loads(_body(openai))["error"] == {"code": "1001", "message": "who?"}
    assert json.loads(_body(anthropic))["error"]["type"] == "authentication_error"
