"""The structs of a Chat Completions request."""

import msgspec
import pytest

from services.gateway.wire.openai import (
    NOTHING,
    ChatRequest,
    DeveloperMessage,
    FilePart,
    FunctionMessage,
    ImagePart,
    Message,
    SystemMessage,
    TextPart,
    ToolCall,
    UserMessage,
)


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool", "function"])
def test_messages_are_told_apart_by_their_role_wherever_it_stands(role: str) -> None:
    body = f'{{"name":"n","content":"a","role":"{role}"}}'.encode()
    message = msgspec.json.decode(body, type=Message)

    assert type(message).__struct_config__.tag == role
    assert message.content == (msgspec.Raw(b'"a"') if role == "tool" else "a")


def test_a_developer_message_is_a_system_message() -> None:
    assert issubclass(DeveloperMessage, SystemMessage)
    assert not issubclass(FunctionMessage, SystemMessage)


def test_parts_are_told_apart_by_their_type() -> None:
    body = (
        b'[{"text":"a","type":"text"},{"type":"image_url","image_url":"data:,"},'
        b'{"type":"image_url","image_url":{"url":"u"}},{"type":"file","file":{"file_id":"f"}}]'
    )
    message = msgspec.json.decode(b'{"role":"user","content":' + body + b"}", type=UserMessage)

    assert [type(part) for part in message.content] == [TextPart, ImagePart, ImagePart, FilePart]


def test_arguments_and_schemas_keep_their_bytes() -> None:
    call = msgspec.json.decode(b'{"function":{"name":"f","arguments":{"b": 1.0}}}', type=ToolCall)

    assert call.function is not None
    assert bytes(call.function.arguments) == b'{"b": 1.0}'


def test_absent_arguments_are_nothing() -> None:
    call = msgspec.json.decode(b'{"function":{"name":"f"}}', type=ToolCall)

    assert call.function is not None
    assert bytes(call.function.arguments) == bytes(NOTHING) == b""


def test_unknown_fields_are_skipped() -> None:
    body = b'{"model":"m","messages":[],"zork":{"a":[1]}}'

    assert msgspec.json.decode(body, type=ChatRequest) == ChatRequest(model="m", messages=[])
