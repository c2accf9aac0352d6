"""What an answer of a provider means."""

import pytest

from services.credentials.oauth.answers import (
    BIZ_SUCCESS,
    ZCODE_SUCCESS,
    CallFailed,
    Kind,
    call,
    missing,
    payload,
    seconds,
    text,
)
from services.credentials.oauth.steps import Answer, Ask, NoAnswer
from tests.support.oauth_flow import answer, drive


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"code": 0, "data": [1]}, [1]),
        ({"code": "0", "data": 1}, 1),
        ({"code": 200, "data": 1}, 1),
        ({"status": "200", "data": 1}, 1),
        ({"a": 1}, {"a": 1}),
        ([1, 2], [1, 2]),
    ],
)
def test_the_payload_is_data_or_all_there_is(body: object, expected: object) -> None:
    assert payload("x", answer(body), BIZ_SUCCESS) == expected


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (NoAnswer(sent=False, why="no connection"), Kind.UNSENT),
        (NoAnswer(sent=True, why="broke off"), Kind.LOST),
        (answer({}, 408), Kind.BUSY),
        (answer({}, 429), Kind.BUSY),
        (answer({}, 503), Kind.BUSY),
        (answer({"code": 401}, 500), Kind.LOST),
        (answer({}, 302), Kind.UNREADABLE),
        (answer({}, 401), Kind.DENIED),
        (answer({}, 404), Kind.NOT_OFFERED),
        (answer({}, 400), Kind.REFUSED),
        (answer({"error": "invalid_grant"}, 400), Kind.DENIED),
        (answer({"error": {"code": "1001"}}, 403), Kind.DENIED),
        (answer({"code": 1}), Kind.REFUSED),
        (answer({"code": True}), Kind.REFUSED),
        (answer({"code": "no\nsense"}), Kind.REFUSED),
        (answer({"code": 401}), Kind.DENIED),
        (answer({"code": 2007}), Kind.DENIED),
        (answer({"status": "500"}), Kind.REFUSED),
        (Answer(200, b"<html>"), Kind.UNREADABLE),
        (Answer(200, b"1"), Kind.UNREADABLE),
        (Answer(200, b""), Kind.UNREADABLE),
        (Answer(502, b"<html>"), Kind.LOST),
        (Answer(200, b"[" * 60_000), Kind.UNREADABLE),
    ],
)
def test_every_failure_is_told_apart(reply: Answer | NoAnswer, kind: Kind) -> None:
    with pytest.raises(CallFailed) as caught:
        payload("x", reply, BIZ_SUCCESS)

    assert caught.value.kind is kind


@pytest.mark.parametrize("body", [{"data": {}}, {"code": 200, "data": {}}])
def test_zcode_says_zero_and_nothing_else(body: object) -> None:
    with pytest.raises(CallFailed, match="refused"):
        payload("x", answer(body), ZCODE_SUCCESS)


def test_a_message_holds_code_and_status_and_none_of_their_text() -> None:
    with pytest.raises(CallFailed) as caught:
        payload("doing x", answer({"code": 77, "msg": "canary \x1b[31mred\nline " + "y" * 500}, 400), BIZ_SUCCESS)

    assert str(caught.value) == "doing x: the provider refused it (HTTP 400, code 77)"
    assert caught.value.said.startswith("canary [31mred line yyy")
    assert len(caught.value.said) == 200


def test_a_strange_code_and_text_are_not_repeated() -> None:
    with pytest.raises(CallFailed) as caught:
        payload("x", answer({"code": "a b", "msg": 5}, 400), BIZ_SUCCESS)

    assert (str(caught.value), caught.value.said) == ("x: the provider refused it (HTTP 400)", "")


def test_retry_after_is_handed_on() -> None:
    with pytest.raises(CallFailed) as caught:
        payload("x", answer({}, 429, 30.0), BIZ_SUCCESS)

    assert caught.value.retry_after == 30.0


def test_a_call_yields_its_ask_and_returns_the_payload() -> None:
    ask = Ask(what="x", method="GET", url="https://a.test/canary")

    driven = drive(call(ask, BIZ_SUCCESS), [answer({"data": 7})])

    assert (list(driven), driven.result) == ([ask], 7)


def test_what_is_no_answer_is_a_fault_of_ours() -> None:
    with pytest.raises(TypeError, match="not answered with str"):
        payload("x", "code", BIZ_SUCCESS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": " x "}, "x"),
        ({"b": "y"}, "y"),
        ({"a": "", "b": "y"}, "y"),
        ({"a": 5}, "5"),
        ({"a": True}, None),
        ({"a": "x\r\nset-cookie: y"}, None),
        ({"a": "\u00e4"}, None),
        ({"a": None}, None),
        ([], None),
        (None, None),
    ],
)
def test_a_text_must_be_fit_for_a_header(value: object, expected: str | None) -> None:
    assert text(value, "a", "b") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 5}, 5.0),
        ({"a": 0.5}, 0.5),
        ({"a": 0}, None),
        ({"a": -1}, None),
        ({"a": True}, None),
        ({"a": 1e16}, None),
        ({"a": "5"}, None),
        ([], None),
    ],
)
def test_seconds_are_positive_numbers(value: object, expected: float | None) -> None:
    assert seconds(value, "a") == expected


def test_what_is_missing_is_named() -> None:
    assert (
        str(missing("reading", "key"))
        == "reading: the provider gave an answer that makes no sense here (no usable key)"
    )
