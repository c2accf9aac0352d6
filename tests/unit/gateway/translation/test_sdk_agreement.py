"""
What one vendor's SDK reads from an upstream, the other vendor's SDK reads from the gateway.

Both accumulators are the vendors' own. Streams are generated; the client's stream also passes the strict validators.
"""

from collections.abc import Iterable
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.streams.convert import StreamConversion
from services.gateway.translation.streams.read_anthropic import AnthropicReader
from services.gateway.translation.streams.read_openai import OpenAIReader
from services.gateway.translation.streams.write_anthropic import AnthropicWriter
from services.gateway.translation.streams.write_openai import OpenAIWriter
from services.gateway.translation.vocabulary import from_openai, settled, to_openai
from tests.support.generated_streams import anthropic_streams, cut, openai_streams, spelt
from tests.support.sdk_clients import Clients, Reading
from tests.support.stream_validators import check_anthropic_stream, check_openai_stream

CONTEXT = ResponseContext(requested_model="claude-x", stream=True, include_usage=True)
CLIENTS = Clients()


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
