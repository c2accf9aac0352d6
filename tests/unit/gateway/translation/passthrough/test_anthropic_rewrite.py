"""One Anthropic event with its repairs."""

import pytest

from services.gateway.translation.passthrough.anthropic_rewrite import block_start, message_delta, message_start
from services.gateway.translation.streams.events import Usage

WHOLE = b'{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"usage":%s}}'


def test_what_is_whole_is_left_alone() -> None:
    assert message_start(WHOLE % b'{"input_tokens":1,"output_tokens":0}') is None
    assert block_start(b'{"content_block":{"type":"text","text":""}}') is None
    assert block_start(b'{"content_block":{"type":"thinking","thinking":"","signature":""}}') is None
    assert block_start(b'{"content_block":"?"}') is None
    assert message_delta(b'{"usage":{"output_tokens":3}}', None) is None


@pytest.mark.parametrize("usage", [b"null", b"{}", b'{"input_tokens":null}', b'"?"'])
def test_missing_counts_are_zero(usage: bytes) -> None:
    out = message_start(WHOLE % usage)

    if usage != b'"?"':
        assert out is not None
        assert b'"input_tokens":0' in out
        assert b'"output_tokens":0' in out


def test_odd_counts_are_left_to_who_reads_them() -> None:
    odd = b'"usage":{"input_tokens":1.5,"output_tokens":"1"}}'
    head = b'"message":{"id":"m","type":"message","role":"assistant","content":[],'

    assert message_start(b'{"type":"message_start",' + head + odd + b"}") is None
    assert message_delta(b'{"type":"message_delta","delta":{},' + odd, None) is None


def test_values_that_are_not_changed_keep_their_bytes() -> None:
    assert block_start(b'{"index": 1.0, "content_block": {"type":"thinking", "thinking":"\\u0061"}}') == (
        b'{"index":1.0,"content_block":{"type":"thinking","thinking":"\\u0061","signature":""}}'
    )


def test_the_output_so_far_stands_in_for_a_missing_count() -> None:
    assert message_delta(b"{}", Usage(output=5)) == b'{"usage":{"output_tokens":5}}'
    assert message_delta(b'{"usage":null}', Usage(input=5)) == b'{"usage":{"output_tokens":0}}'
    assert message_delta(b"{}", None) == b'{"usage":{"output_tokens":0}}'
