import pytest

from services.gateway.wire.anthropic_events import decode_event, decode_message
from services.gateway.wire.mend import BROKEN


def test_an_event_is_read() -> None:
    event = decode_event(b'{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"},"new":[1]}')

    assert (event.type, event.index) == ("content_block_delta", 2)
    assert event.delta is not None
    assert event.delta.text == "a"


def test_impossible_characters_do_not_lose_an_event_or_a_message() -> None:
    event = decode_event(rb'{"type":"x","delta":{"text":"\ud83d"}}')
    message = decode_message(b'{"content":[{"type":"text","text":"a\xff"}]}')

    assert event.delta is not None
    assert event.delta.text == "�"
    assert message.content is not None
    assert message.content[0].text == "a�"


def test_a_tool_input_keeps_its_bytes() -> None:
    message = decode_message(b'{"content":[{"type":"tool_use","input":{"b": 1,  "a":2}}]}')

    assert message.content is not None
    assert bytes(message.content[0].input) == b'{"b": 1,  "a":2}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"delta":{"text":5},"content":3}'])
def test_what_is_no_event_is_broken(body: bytes) -> None:
    with pytest.raises(BROKEN):
        decode_event(body)
    with pytest.raises(BROKEN):
        decode_message(body)
