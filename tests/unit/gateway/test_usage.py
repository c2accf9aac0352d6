"""Metering from a copy."""

import gzip
import json
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from services.gateway.conversion import WholeBody
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.faults import BODY_NOT_JSON, TRUNCATED
from services.gateway.usage import BatchMeter, MeteredCopy, StreamMeter, passed_through, usage_of_batch
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat
from tests.support.frames import DONE, chunk, event, message_end, message_start, text_block

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
OPENAI_USAGE = {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 80}}
COUNTED = Usage(input=20, cache_read=80, output=7)
ANTHROPIC_USAGE = {"input_tokens": 20, "cache_read_input_tokens": 80, "output_tokens": 7}

BATCHES = {
    OPENAI: json.dumps({"id": "c", "choices": [{"message": {"content": "é"}}], "usage": OPENAI_USAGE}).encode(),
    ANTHROPIC: json.dumps({"id": "m", "content": [{"type": "text", "text": "a"}], "usage": ANTHROPIC_USAGE}).encode(),
}
STREAMS = {
    OPENAI: chunk({"role": "assistant", "content": 'the "usage" of words'})
    + chunk({"content": "a"}, usage=None)
    + chunk({}, "stop", usage=OPENAI_USAGE)
    + DONE,
    ANTHROPIC: message_start(input_tokens=999, output_tokens=1)
    + text_block(0, 'the "usage" of words')
    + message_end(**ANTHROPIC_USAGE),
}
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
both = pytest.mark.parametrize("fmt", UPSTREAM_FORMATS)
codings = pytest.mark.parametrize("coding", CODINGS)


@both
def test_a_batch_names_its_tokens(fmt: WireFormat) -> None:
    assert usage_of_batch(fmt, BATCHES[fmt]) == COUNTED


@both
@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"usage":null}', b'{"usage":', b'["usage"]', b'{"usage":{}}', b'{"usage":5}']
)
def test_a_batch_that_names_none_has_none(fmt: WireFormat, body: bytes) -> None:
    assert usage_of_batch(fmt, body) is None


@both
@codings
def test_a_batch_is_metered_in_any_coding_however_it_is_cut(fmt: WireFormat, coding: str) -> None:
    body = CODINGS[coding](BATCHES[fmt])
    for size in (1, 7, len(body)):
        meter = BatchMeter(fmt, coding)
        for at in range(0, len(body), size):
            meter.feed(body[at : at + size])
        assert meter.usage is None
        meter.end()
        assert (meter.usage, meter.gave_up) == (COUNTED, None)


@both
@codings
def test_a_stream_is_metered_in_any_coding_however_it_is_cut(fmt: WireFormat, coding: str) -> None:
    body = CODINGS[coding](STREAMS[fmt])
    for size in (1, 7, len(body)):
        meter = StreamMeter(fmt, coding)
        for at in range(0, len(body), size):
            meter.feed(body[at : at + size])
        meter.end()
        assert (meter.usage, meter.gave_up) == (COUNTED, None)


@both
def test_a_stream_that_breaks_off_is_metered_as_far_as_it_came(fmt: WireFormat) -> None:
    meter = StreamMeter(fmt)
    meter.feed(message_start(input_tokens=5, output_tokens=1) + chunk({}, usage=OPENAI_USAGE) + b'data: {"usage"')
    meter.end()

    assert meter.usage == (COUNTED if fmt is OPENAI else Usage(input=5, output=1))


def test_a_last_event_without_its_blank_line_counts() -> None:
    meter = StreamMeter(OPENAI)
    meter.feed(chunk({}, "stop", usage=OPENAI_USAGE).rstrip())
    meter.end()

    assert meter.usage == COUNTED


def test_a_chunk_without_usage_leaves_the_last_count() -> None:
    meter = StreamMeter(OPENAI)
    meter.feed(chunk({}, usage=OPENAI_USAGE) + chunk({}, usage=None))

    assert meter.usage == COUNTED


def test_comments_and_events_of_odd_shape_are_passed_over() -> None:
    meter = StreamMeter(ANTHROPIC)
    meter.feed(b': "usage"\n\n' + event("message_start", message="usage") + b'data: ["usage"]\n\n')

    assert (meter.usage, meter.gave_up) == (None, None)


@both
@pytest.mark.parametrize("kind", [BatchMeter, StreamMeter])
def test_an_unknown_coding_is_not_metered(fmt: WireFormat, kind: type[BatchMeter] | type[StreamMeter]) -> None:
    meter = kind(fmt, "compress")
    meter.feed(b"anything")
    meter.end()

    assert meter.usage is None
    assert meter.gave_up is not None
    assert "'compress' is not known" in meter.gave_up


@pytest.mark.promise("P-46")
@both
@pytest.mark.parametrize("kind", [BatchMeter, StreamMeter])
def test_a_bomb_ends_the_metering_and_says_so(fmt: WireFormat, kind: type[BatchMeter] | type[StreamMeter]) -> None:
    meter = kind(fmt, "gzip", limit=1 << 20)
    meter.feed(gzip.compress(STREAMS[fmt] + b":\n\n" * (1 << 20)))
    meter.feed(b"more")
    meter.end()

    assert meter.gave_up == "the decoded body is larger than the limit"
    assert meter.usage == (None if kind is BatchMeter else COUNTED)


def test_a_body_that_is_not_of_its_coding_ends_the_metering() -> None:
    meter = StreamMeter(OPENAI, "gzip")
    meter.feed(b"no gzip at all")

    assert meter.gave_up == "the body is not valid gzip or deflate"


def test_an_event_above_the_limit_ends_the_metering() -> None:
    meter = StreamMeter(OPENAI, event_limit=300)
    meter.feed(b"data: " + b"x" * 400)
    meter.feed(chunk({}, usage=OPENAI_USAGE))

    assert (meter.usage, meter.gave_up) == (None, "an event is larger than the limit")


@both
@codings
def test_a_batch_passes_as_it_came_with_its_tokens(fmt: WireFormat, coding: str) -> None:
    body = CODINGS[coding](BATCHES[fmt])

    assert passed_through(fmt, body, coding.encode() or None, now=0.0) == WholeBody(
        body=body, usage=COUNTED, unchanged=True
    )


@codings
def test_b59_an_error_under_http_200_is_one_in_any_coding(coding: str) -> None:
    body = CODINGS[coding](b'{"error":{"code":"1302","message":"slow"}}')

    fault = passed_through(OPENAI, body, coding.encode(), now=0.0)
    assert isinstance(fault, Fault)
    assert fault.status == 429


@pytest.mark.parametrize("body", [b"[]", b'"text"', b'{"id":"x","choices":[tr', b'{"usage":{}} tail'])
def test_a_batch_that_is_no_json_object_is_no_success(body: bytes) -> None:
    assert passed_through(OPENAI, body, None, now=0.0) == BODY_NOT_JSON


@pytest.mark.parametrize("text", [b"\xff", rb"\ud83d"])
def test_a_batch_with_a_bad_character_passes_and_is_metered(text: bytes) -> None:
    body = b'{"x":{"t":"%s"},"usage":{"input_tokens":3,"output_tokens":4,"x":"%s"}}' % (text, text)

    assert passed_through(ANTHROPIC, body, None, now=0.0) == WholeBody(
        body=body, usage=Usage(input=3, output=4), unchanged=True
    )


@pytest.mark.parametrize("coding", [b"compress", b"gzip"])
def test_a_batch_that_cannot_be_decoded_passes_unmetered(coding: bytes) -> None:
    assert passed_through(OPENAI, b"\x00\x01", coding, now=0.0) == WholeBody(
        body=b"\x00\x01", usage=None, unchanged=True
    )


def test_a_compressed_stream_passes_untouched_and_is_metered() -> None:
    body = gzip.compress(STREAMS[OPENAI])
    copy = MeteredCopy(StreamMeter(OPENAI, "gzip"))
    assert (copy.begun, copy.finished) == (False, False)

    assert copy.feed(body[:30]) + copy.feed(body[30:]) + copy.eof() == body
    assert (copy.begun, copy.finished, copy.fault, copy.gave_up) == (True, True, None, None)
    assert copy.usage == COUNTED


def test_nothing_is_written_into_a_compressed_stream() -> None:
    copy = MeteredCopy(StreamMeter(OPENAI, "gzip"))
    copy.feed(b"?")

    assert (copy.ping(), copy.fail(TRUNCATED)) == (b"", b"")
    assert (copy.finished, copy.fault) == (True, TRUNCATED)
    assert copy.gave_up is None
