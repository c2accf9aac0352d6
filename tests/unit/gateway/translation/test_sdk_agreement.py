"""
What one vendor's SDK reads from an upstream, the other vendor's SDK reads from the gateway.

Both accumulators are the vendors' own. Streams are generated; the client's stream also passes the strict validators.
"""

from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.translation.context import ResponseContext, ResponsesContext
from services.gateway.translation.streams.convert import StreamConversion
from services.gateway.translation.streams.events import StopReason
from services.gateway.translation.streams.read_anthropic import AnthropicReader
from services.gateway.translation.streams.read_openai import OpenAIReader
from services.gateway.translation.streams.write_anthropic import AnthropicWriter
from services.gateway.translation.streams.write_openai import OpenAIWriter
from services.gateway.translation.streams.write_responses import ResponsesWriter
from services.gateway.translation.vocabulary import from_openai, settled, to_openai
from tests.support.generated_streams import anthropic_streams, cut, openai_streams, spelt
from tests.support.responses_validator import check_responses_stream
from tests.support.sdk_clients import Clients, Reading
from tests.support.stream_validators import check_anthropic_stream, check_openai_stream

CONTEXT = ResponseContext(requested_model="claude-x", stream=True, include_usage=True)
CLIENTS = Clients()
ECHO = (
    b'"instructions":null,"max_output_tokens":null,"metadata":{},"parallel_tool_calls":true,"reasoning":{},'
    b'"temperature":1.0,"text":{},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled"'
)


def to_anthropic() -> StreamConversion:
    numbers = count(1)
    return StreamConversion(
        OpenAIReader(CONTEXT, lambda prefix: f"{prefix}{next(numbers)}"), AnthropicWriter(CONTEXT, request_id="req")
    )


def to_openai_client() -> StreamConversion:
    numbers = count(1)
    return StreamConversion(
        AnthropicReader(CONTEXT, lambda prefix: f"{prefix}{next(numbers)}"),
        OpenAIWriter(CONTEXT, created=7, request_id="req"),
    )


def converted(conversion: StreamConversion, reads: Iterable[bytes]) -> bytes:
    return b"".join([*map(conversion.feed, reads), conversion.eof()])


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def borne_out(reading: Reading) -> Reading:
    """The reading with the reason that its content bears out, which is what a gateway says."""
    assert reading.reason is not None
    reading.reason = settled(reading.reason, tools=bool(reading.tools))
    return reading


@pytest.mark.promise("P-47")
@settings(deadline=None)
@given(st.data())
def test_b155_an_openai_upstream_reads_the_same_through_the_anthropic_sdk(data: st.DataObject) -> None:
    frames = data.draw(openai_streams())
    stream = data.draw(spelt(frames))
    result = converted(to_anthropic(), [stream])

    check_anthropic_stream(result)
    assert borne_out(CLIENTS.openai(b"".join(frames))) == CLIENTS.anthropic(result)
    assert result == converted(to_anthropic(), data.draw(cut(stream)))
    assert result == converted(to_anthropic(), one_by_one(stream))


@pytest.mark.promise("P-47")
@settings(deadline=None)
@given(st.data())
def test_b155_an_anthropic_upstream_reads_the_same_through_the_openai_sdk(data: st.DataObject) -> None:
    frames = data.draw(anthropic_streams())
    stream = data.draw(spelt(frames))
    result = converted(to_openai_client(), [stream])

    check_openai_stream(result, include_usage=True)
    native = borne_out(CLIENTS.anthropic(b"".join(frames)))
    # Several reasons share one word of the other dialect; the word is what must agree.
    assert native.reason is not None
    native.reason = from_openai(to_openai(native.reason))
    assert native == CLIENTS.openai(result)
    assert result == converted(to_openai_client(), data.draw(cut(stream)))
    assert result == converted(to_openai_client(), one_by_one(stream))


SHAPES = [ResponsesContext(echo=ECHO, summary=summary, encrypted=summary) for summary in (False, True)]


def to_responses(shape: ResponsesContext, *, anthropic: bool) -> StreamConversion:
    numbers = count(1)
    context = ResponseContext(requested_model="glm-x", stream=True, responses=shape)
    reader = AnthropicReader if anthropic else OpenAIReader
    return StreamConversion(
        reader(context, lambda prefix: f"{prefix}{next(numbers)}"), ResponsesWriter(context, created=7)
    )


def read_alike(data: st.DataObject, frames: list[bytes], native: Reading, *, anthropic: bool) -> None:
    """Check that the SDK reads the native answer from a Responses stream, however the upstream's was cut."""
    shape = data.draw(st.sampled_from(SHAPES))
    stream = data.draw(spelt(frames))
    result = converted(to_responses(shape, anthropic=anthropic), [stream])

    check_responses_stream(result)
    # This API knows fewer reasons: what is no cut and no refusal is complete.
    native.reason = {
        StopReason.LENGTH: StopReason.LENGTH,
        StopReason.CONTEXT_WINDOW: StopReason.LENGTH,
        StopReason.REFUSAL: StopReason.REFUSAL,
    }.get(borne_out(native).reason or StopReason.END, StopReason.END)
    assert native == CLIENTS.responses(result)
    assert result == converted(to_responses(shape, anthropic=anthropic), data.draw(cut(stream)))
    assert result == converted(to_responses(shape, anthropic=anthropic), one_by_one(stream))


@pytest.mark.promise("P-47")
@settings(deadline=None)
@given(st.data())
def test_an_openai_upstream_reads_the_same_through_the_openai_sdks_responses(data: st.DataObject) -> None:
    frames = data.draw(openai_streams())
    read_alike(data, frames, CLIENTS.openai(b"".join(frames)), anthropic=False)


@pytest.mark.promise("P-47")
@settings(deadline=None)
@given(st.data())
def test_an_anthropic_upstream_reads_the_same_through_the_openai_sdks_responses(data: st.DataObject) -> None:
    frames = data.draw(anthropic_streams())
    read_alike(data, frames, CLIENTS.anthropic(b"".join(frames)), anthropic=True)
