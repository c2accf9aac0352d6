"""What is read of a body before it is passed on: model and mode, and nothing else."""

from typing import Any

import pytest

from services.gateway.call import Peek, peek
from services.gateway.errors import BadRequest
from services.gateway.wire.outline import outline_of


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"m"}', Peek("m", stream=False, include_usage=False)),
        (b'{"model":"m","stream":null}', Peek("m", stream=False, include_usage=False)),
        (b'{"model":"m","stream":true}', Peek("m", stream=True, include_usage=False)),
        (b'{"stream_options":{"include_usage":true},"model":"m"}', Peek("m", stream=False, include_usage=True)),
        (b'{"model":"m","stream_options":{"include_usage":null}}', Peek("m", stream=False, include_usage=False)),
        (b'{"model":"m","stream_options":null,"messages":5}', Peek("m", stream=False, include_usage=False)),
        (b'{"model":"first","model":"last"}', Peek("last", stream=False, include_usage=False)),
    ],
)
def test_model_and_mode_are_read_and_the_rest_is_left_alone(body: bytes, expected: Peek) -> None:
    assert expected == peek(body, None)
    assert expected == peek(body, None, outline_of(body))


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_call_that_names_no_model_gets_the_default_one(body: bytes) -> None:
    assert Peek("glm-5.1", stream=False, include_usage=False, named=False) == peek(body, "glm-5.1")
    assert peek(body, "glm-5.1", outline_of(body)) == peek(body, "glm-5.1")


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b"{}", "model", "Field required"),
        (b'{"model":5}', "model", "Expected `str | null`"),
        (b'{"model":"m","stream":"yes"}', "stream", "Expected `bool | null`"),
        (b'{"model":"m","stream":1}', "stream", "Expected `bool | null`"),
        (b'{"model":"m","stream_options":[]}', "stream_options", "Expected `object | null`"),
        (b'{"model":"m","stream_options":{"include_usage":3}}', "stream_options.include_usage", "Expected"),
        (b"[]", None, "Expected `object`"),
        (b"7", None, "Expected `object`"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(body: bytes, param: str | None, says: str) -> None:
    fault = _refused(body)

    assert 400 == fault.status
    assert param == fault.param
    assert says in fault.message
    assert fault.message.startswith(f"{param}: " if param else "Expected")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model":"m"',
        b'{"model":"m"} trailing',
        b'{"model":"\xff"}',
        b'{"model":NaN}',
        b"\xef\xbb\xbf",
        b'{"a":' * 10_000,
    ],
)
def test_what_is_no_json_is_refused_without_quoting_it(body: bytes) -> None:
    fault = _refused(body)

    assert (400, "invalid_json") == (fault.status, fault.code)
    assert "The request body is not valid JSON." == fault.message


def _refused(body: bytes) -> Any:
    with pytest.raises(BadRequest) as refusal:
        peek(body, None, outline_of(body))
    with pytest.raises(BadRequest):
        peek(body, None)
    return refusal.value.fault
