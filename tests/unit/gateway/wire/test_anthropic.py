"""The structs of an Anthropic request."""

import msgspec
import pytest

from services.gateway.wire.anthropic import (
    KnownMessagesRequest,
    Message,
    MessagesRequest,
    RedactedThinkingBlock,
    ServerToolUseBlock,
    TextBlock,
    ToolUseBlock,
)


def test_blocks_are_told_apart_by_their_type() -> None:
    message = msgspec.json.decode(
        b'{"role":"assistant","content":[{"text":"a","type":"text"},{"type":"redacted_thinking","data":"x"},'
        b'{"type":"server_tool_use","id":"s","name":"n","input":{}}]}',
        type=Message,
    )

    assert message.content == [TextBlock(text="a"), RedactedThinkingBlock(), ServerToolUseBlock()]


def test_tool_input_keeps_its_bytes() -> None:
    block = msgspec.json.decode(b'{"type":"tool_use","id":"A","name":"f","input":{"b": 1.0}}', type=ToolUseBlock)

    assert bytes(block.input) == b'{"b": 1.0}'


def test_a_request_to_count_needs_no_max_tokens() -> None:
    body = b'{"model":"m","messages":[]}'

    assert msgspec.json.decode(body, type=MessagesRequest) == MessagesRequest(model="m", messages=[])


def test_unknown_fields_are_ignored_by_one_and_refused_by_the_other() -> None:
    body = b'{"model":"m","messages":[],"zork":1}'

    assert msgspec.json.decode(body, type=MessagesRequest).model == "m"
    with pytest.raises(msgspec.ValidationError, match="unknown field `zork`"):
        msgspec.json.decode(body, type=KnownMessagesRequest)


def test_both_requests_have_the_same_fields() -> None:
    assert KnownMessagesRequest.__struct_fields__ == MessagesRequest.__struct_fields__
