"""Browsers of listed origins may call; for all others there are no CORS headers at all."""

from services.gateway.cors import Cors


def test_off_by_default() -> None:
    cors = Cors(())

    assert () == cors.answer_headers({b"origin": b"https://a.example"})
    assert ((b"allow", b"GET, HEAD, POST, OPTIONS"),) == cors.preflight_headers({b"origin": b"https://a.example"})


def test_a_listed_origin_is_answered_by_name_and_others_are_not() -> None:
    cors = Cors(("https://a.example",))

    allowed = dict(cors.answer_headers({b"origin": b"https://a.example"}))

    assert b"https://a.example" == allowed[b"access-control-allow-origin"]
    assert b"origin" == allowed[b"vary"]
    assert () == cors.answer_headers({b"origin": b"https://a.example.evil"})
    assert () == cors.answer_headers({})


def test_a_preflight_is_told_what_it_asked_for() -> None:
    cors = Cors(("*",))

    headers = dict(
        cors.preflight_headers({b"origin": b"https://x.example", b"access-control-request-headers": b"x-api-key"})
    )

    assert b"https://x.example" == headers[b"access-control-allow-origin"]
    assert b"x-api-key" == headers[b"access-control-allow-headers"]
    assert b"POST" in headers[b"access-control-allow-methods"]


def test_a_preflight_that_asks_for_nothing_is_told_the_usual() -> None:
    headers = dict(Cors(("*",)).preflight_headers({b"origin": b"https://x.example"}))

    assert b"authorization" in headers[b"access-control-allow-headers"]
