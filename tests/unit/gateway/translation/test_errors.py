"""Upstream errors in every shape, told from answers and read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.error_table import ROW_BY_CODE
from services.gateway.translation.errors import client_status, error_body, looks_like_error, read_fault
from services.gateway.translation.fault import Action
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.upstream_errors import NOW, encode, shapes


@pytest.mark.parametrize("code", sorted(ROW_BY_CODE))
def test_every_code_of_the_table_is_read_from_every_shape_and_under_every_status(code: int) -> None:
    row = ROW_BY_CODE[code]
    for shape, body in shapes(code, "Some words").items():
        for status in (200, 400, 429, 500):
            fault = read_fault(status, body, now=NOW)
            assert (fault.status, fault.action) == (row.status, row.action), (shape, status)
            assert fault.anthropic_status == row.anthropic_status
            assert fault.upstream_code == str(code)
            assert fault.upstream_status == status
            assert fault.should_retry == row.should_retry
            assert "Some words" in fault.message
            assert f"(upstream code {code})" in fault.message
            assert f"[{code}]" not in fault.message


def test_b59_an_error_object_under_http_200_is_a_429() -> None:
    body = b'{"error":{"code":"1302","message":"Rate limit reached"}}'

    assert looks_like_error(body)
    assert read_fault(200, body).status == 429


def test_b82_an_error_in_a_frame_gets_the_status_of_its_code() -> None:
    overload = read_fault(200, b'{"error":{"code":"1305","message":"busy"}}')
    anthropic = read_fault(200, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')

    assert [client_status(fmt, overload) for fmt in (OPENAI, ANTHROPIC)] == [503, 529]
    assert [client_status(fmt, anthropic) for fmt in (OPENAI, ANTHROPIC)] == [503, 529]


def test_faults_of_fields_are_told_without_what_stands_there() -> None:
    field = {"type": "literal_error", "loc": ["body", "messages", 1, "role"], "msg": "Input should be 'user'"}
    body = encode({"detail": [field | {"input": "secret"}, {"msg": "too long"}, {"loc": ["body"]}, 5]})
    fault = read_fault(422, body)

    assert "messages.1.role: Input should be 'user'; too long" in fault.message
    assert (422, 422) == (fault.status, fault.upstream_status)
    assert "no reason" in read_fault(422, b'{"detail":[]}').message


def test_b145_a_code_in_the_place_of_the_type_is_read() -> None:
    fault = read_fault(429, b'{"error":{"message":"Insufficient balance","type":"1113"}}')

    status, headers, body = error_body(OPENAI, fault, "req_1")
    assert (status, dict(headers)[b"x-should-retry"]) == (429, b"false")
    assert msgspec.json.decode(body)["error"]["type"] == "insufficient_quota"
    assert msgspec.json.decode(body)["error"]["code"] == "insufficient_quota"
    status, headers, body = error_body(ANTHROPIC, fault, "req_1")
    assert (status, dict(headers)[b"x-should-retry"]) == (402, b"false")
    assert msgspec.json.decode(body)["error"]["type"] == "billing_error"
    assert "wrong endpoint" in fault.message


@pytest.mark.parametrize("fmt", list(WireFormat))
@pytest.mark.parametrize(
    ("status", "body", "seen", "text"),
    [
        (403, b"<!DOCTYPE html><head><title>t</title></head><h1>Just a moment</h1>", 502, "Just a moment"),
        (200, b"<html><script>steal()</script><!-- secret -->Hello</html>", 502, "Hello"),
        (429, b"<html>slow down</html>", 429, "slow down"),
        (413, b"<html>too big</html>", 413, "too big"),
        (500, b"<html>oops</html>", 502, "oops"),
        (503, b"<html>maintenance</html>", 503, "maintenance"),
        (302, b"", 502, "redirect"),
        (301, b'{"moved": true}', 502, "redirect"),
        (500, b"", 502, "an empty body"),
        (200, b"", 502, "an empty body"),
        (429, b"", 429, "an empty body"),
        (400, b"no json at all", 400, "no json at all"),
        (404, b"[1, 2]", 404, "no JSON"),
        (502, b"\xff\xfe", 502, "no JSON"),
        (401, b"", 401, "an empty body"),
    ],
)
def test_b146_html_empty_and_non_json_bodies_keep_the_envelope(
    fmt: WireFormat, status: int, body: bytes, seen: int, text: str
) -> None:
    fault = read_fault(status, body)

    got, _, out = error_body(fmt, fault, "req_1")
    assert got == seen
    assert text in msgspec.json.decode(out)["error"]["message"]
    assert "steal" not in fault.message
    assert "secret" not in fault.message
    assert "<" not in fault.message


def test_no_more_than_200_characters_of_a_page_are_shown() -> None:
    fault = read_fault(503, b"<html>" + b"x" * 5000)

    assert "x" * 200 in fault.message
    assert "x" * 201 not in fault.message


def test_a_very_long_message_is_cut() -> None:
    assert len(read_fault(400, encode({"error": {"message": "y" * 9000}})).message) == 2000


def test_1261_says_prompt_is_too_long_in_the_words_that_agents_compact_on() -> None:
    fault = read_fault(400, b'{"error":{"code":"1261","message":"Prompt exceeds max length"}}')

    anthropic = msgspec.json.decode(error_body(ANTHROPIC, fault, "r")[2])
    assert anthropic["error"]["message"].startswith("prompt is too long: Prompt exceeds max length")
    assert msgspec.json.decode(error_body(OPENAI, fault, "r")[2])["error"]["code"] == "context_length_exceeded"
    said = read_fault(400, b'{"error":{"code":"1261","message":"Prompt is too long: 9 > 8"}}').message
    assert said.lower().count("prompt is too long") == 1
    assert read_fault(400, b'{"error":{"code":"1261"}}').message.startswith("prompt is too long.")


@pytest.mark.parametrize(("status", "seen"), [(405, 405), (200, 405), (400, 400)])
def test_3012_method_not_allowed_names_the_setting_and_keeps_its_status(status: int, seen: int) -> None:
    fault = read_fault(status, b'{"code":3012,"msg":"Method Not Allowed"}')

    assert (fault.status, fault.action, fault.should_retry) == (seen, Action.CONFIGURATION, False)
    assert "startPlan.systemBlocks" in fault.message


@pytest.mark.parametrize("text", ["unusual activity detected", "something new"])
def test_3012_otherwise_stops(text: str) -> None:
    fault = read_fault(403, encode({"code": 3012, "msg": text}))

    assert (fault.status, fault.action, fault.code) == (403, Action.STOP, "account_under_risk_control")
    assert text in fault.message


def test_the_captcha_header_is_a_challenge_whatever_the_body() -> None:
    fault = read_fault(403, b"", headers=[(b"x-aliyun-captcha-verify-param", b"x")])

    assert (fault.status, fault.action, fault.code) == (403, Action.CAPTCHA, "captcha_required")
    assert fault.upstream_code == "3007"


def test_an_empty_401_of_start_plan_asks_for_a_login() -> None:
    fault = read_fault(401, b" ", start_plan=True)

    assert (fault.status, fault.code, fault.upstream_code) == (401, "start_plan_jwt_invalid", None)
    assert "auth login" in fault.message
    assert "upstream code" not in fault.message
    assert read_fault(401, b"", start_plan=False).code is None


@pytest.mark.parametrize(
    ("status", "openai", "anthropic", "action"),
    [
        (400, 400, 400, Action.PASS),
        (401, 401, 401, Action.RENEW_CREDENTIAL),
        (402, 429, 402, Action.PASS),
        (403, 403, 403, Action.PASS),
        (404, 404, 404, Action.PASS),
        (405, 405, 405, Action.PASS),
        (408, 408, 408, Action.RETRY),
        (413, 413, 413, Action.PASS),
        (425, 425, 425, Action.RETRY),
        (429, 429, 429, Action.THROTTLE),
        (500, 502, 502, Action.RETRY),
        (503, 503, 503, Action.RETRY),
        (504, 504, 504, Action.RETRY),
        (520, 502, 502, Action.RETRY),
        (529, 503, 529, Action.OVERLOAD),
    ],
)
def test_a_status_without_a_code_is_kept_as_far_as_the_dialect_knows_it(
    status: int, openai: int, anthropic: int, action: Action
) -> None:
    fault = read_fault(status, b'{"error":{"message":"why"}}')

    assert (client_status(OPENAI, fault), client_status(ANTHROPIC, fault), fault.action) == (openai, anthropic, action)
    assert fault.message == "why"
    assert fault.upstream_status == status


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("rate_limit_error", 429),
        ("timeout_error", 504),
        ("api_error", 502),
        ("overloaded_error", 529),
        ("never_heard_of", 502),
    ],
)
def test_without_a_status_the_dialects_own_word_decides(word: str, status: int) -> None:
    fault = read_fault(200, encode({"type": "error", "error": {"type": word, "message": "m"}}))

    assert client_status(ANTHROPIC, fault) == status
    assert fault.upstream_code == word


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"code": 401, "msg": "token expired", "success": False}, 401),
        ({"code": "500", "msg": "internal"}, 502),
        ({"error": {"code": 429, "message": "slow"}}, 429),
        ({"code": 7, "msg": "?"}, 502),
        ({"code": True, "msg": "?"}, 502),
        ({"code": 99999999999, "msg": "?"}, 502),
        ({}, 502),
    ],
)
def test_a_code_that_is_a_status_counts_as_one_under_http_200(body: dict[str, object], status: int) -> None:
    assert read_fault(200, encode(body)).status == status


def test_a_status_of_its_own_wins_over_a_code_that_is_a_status() -> None:
    assert read_fault(429, b'{"code":500,"msg":"x"}').status == 429


def test_codes_that_agents_act_upon_are_kept() -> None:
    fault = read_fault(
        400, b'{"error":{"code":"context_length_exceeded","message":"m","type":"invalid_request_error"}}'
    )

    assert msgspec.json.decode(error_body(OPENAI, fault, "r")[2])["error"]["code"] == "context_length_exceeded"


def test_a_fault_without_words_says_so() -> None:
    assert read_fault(418, b"{}").message == "The upstream answered HTTP 418 and gave no reason."


@pytest.mark.parametrize(("value", "wish"), [(b"true", True), (b"false", False)])
def test_the_upstreams_wish_about_retries_is_kept(value: bytes, wish: bool) -> None:
    for status in (401, 500):
        assert read_fault(status, b"{}", headers=[(b"x-should-retry", value)]).should_retry is wish


def test_a_key_that_was_refused_is_not_tried_again() -> None:
    assert read_fault(401, b"{}").should_retry is False
    assert read_fault(401, b" ", start_plan=True).should_retry is False
    assert read_fault(500, b"{}").should_retry is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"code":"1302"}}',
        b' \n{"error":"x"}',
        b"\xef\xbb\xbf<html>",
        b'{"code":3007,"msg":"captcha"}',
        b'{"code":"1001","msg":"auth"}',
        b'{"success":false,"msg":"no"}',
        b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}',
        b"<html>",
        b"",
        b" \r\n" * 9,
    ],
)
def test_errors_pages_and_nothing_look_like_errors(body: bytes) -> None:
    assert looks_like_error(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"c","choices":[{"message":{"content":"the \\"error\\" key"}}],"error":null}',
        b'{"choices":[],"code":5}',
        b'{"content":[],"code":5}',
        b'{"code":200,"data":{}}',
        b'{"code":"0","data":{}}',
        b'{"success":true,"code":0}',
        b'{"id":"m","content":[{"type":"text","text":"error"}]}',
        b'{"error":',
        b'{"code":{"a":1}}',
        b'{"error":{}}' + b" " * 65536,
        b" " * 20 + b'{"choices":[]}',
        b"[1]",
    ],
)
def test_answers_do_not_look_like_errors(body: bytes) -> None:
    assert not looks_like_error(body)


@given(st.integers(200, 599), st.binary(max_size=200))
def test_no_bytes_break_the_reading(status: int, body: bytes) -> None:
    fault = read_fault(status, body, now=NOW)

    assert fault.message
    assert 400 <= client_status(OPENAI, fault) < 600
    looks_like_error(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-10, 5000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "type", "message", "msg", "detail", "success"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.integers(200, 599), JSON)
def test_no_json_breaks_the_reading(status: int, value: object) -> None:
    fault = read_fault(status, encode(value), now=NOW)

    for fmt in WireFormat:
        code, _, body = error_body(fmt, fault, "r")
        assert 400 <= code < 600
        assert msgspec.json.decode(body)["error"]["message"]
    looks_like_error(encode(value))
