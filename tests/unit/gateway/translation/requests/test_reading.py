"""Decoding a body, and how its faults are worded."""

import msgspec
import pytest

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.reading import dotted, read, read_part, refusal
from services.gateway.wire.anthropic import MessagesRequest

DECODER = msgspec.json.Decoder(MessagesRequest)


def refused(body: bytes) -> TranslationError:
    with pytest.raises(TranslationError) as caught:
        read(DECODER, body)
    return caught.value


def content(blocks: bytes) -> bytes:
    return b'{"model":"m","messages":[{"role":"user","content":%s}]}' % blocks


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (b"[]", "Input should be a valid dictionary", None),
        (b"{}", "model: Field required", "model"),
        (b'{"model":1}', "model: Input should be a valid string", "model"),
        (b'{"model":"m","messages":[{"role":"user"}]}', "messages.0.content: Field required", "messages.0.content"),
        (content(b"1"), "messages.0.content: Input should be a valid string or list", "messages.0.content"),
        (content(b"[{}]"), "messages.0.content.0.type: Field required", "messages.0.content.0.type"),
        (
            content(b'[{"type":"text","text":"a"},{"type":"text"}]'),
            "messages.0.content.1.text: Field required",
            "messages.0.content.1.text",
        ),
        (
            content(b'[{"type":"teapot"}]'),
            "messages.0.content.0: Input tag 'teapot' is not one of the known types",
            "messages.0.content.0",
        ),
        (
            content(b'[{"type":1}]'),
            "messages.0.content.0.type: Input should be a valid string",
            "messages.0.content.0.type",
        ),
        (
            b'{"model":"m","messages":[],"max_tokens":%s}' % (b"9" * 5000),
            "max_tokens: Integer value out of range",
            "max_tokens",
        ),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream: Input should be a valid boolean", "stream"),
        (b'{"model":"m","messages":[],"max_tokens":1.5}', "max_tokens: Input should be a valid integer", "max_tokens"),
        (b'{"model":"m","messages":[],"top_p":"1"}', "top_p: Input should be a valid number", "top_p"),
        (b'{"model":"m","messages":[],"speed":{"a":1e999}}', "speed: Number out of range", "speed"),
    ],
)
def test_a_fault_is_told_with_its_path(body: bytes, message: str, param: str | None) -> None:
    error = refused(body)

    assert error.message == message
    assert error.param == param
    assert error.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model":"m","messages":[]} x',
        b'{"model":NaN}',
        b'{"model":"\\ud800"}',
        b'{"model":"m","messages":[],"metadata":{"user_id":"\xff"}}',
        b'{"model":"\xff"}',
        b'\xef\xbb\xbf{"model":"m","messages":[]}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_not_json_in_utf8_is_refused(body: bytes) -> None:
    error = refused(body)

    assert error.code == "invalid_json"
    assert error.message.startswith("The request body is ")


def test_a_good_body_is_read() -> None:
    assert read(DECODER, '{"model":"mö","messages":[]}'.encode()) == MessagesRequest(model="mö", messages=[])


def test_a_long_tag_is_cut() -> None:
    error = refused(content(b'[{"type":"%s"}]' % (b"x" * 10_000)))

    assert len(error.message) < 150


def test_a_complaint_of_another_form_is_told_as_it_is() -> None:
    assert refusal("Object contains unknown field `zork`").message == "Object contains unknown field `zork`"
    assert refusal("Expected `str` of length <= 3 - at `$.a`").message == "a: Expected `str` of length <= 3"


def test_a_part_is_complained_about_by_its_place_in_the_whole() -> None:
    decoder = msgspec.json.Decoder(list[MessagesRequest])

    for part, param in ((b"5", "at.3"), (b"[{}]", "at.3.0.model"), (b'[{"model":1}]', "at.3.0.model")):
        with pytest.raises(TranslationError) as caught:
            read_part(decoder, part, "at.3")
        assert caught.value.param == param


def test_a_path_is_dotted() -> None:
    assert dotted("messages[3].content[0].source[...]") == "messages.3.content.0.source"
