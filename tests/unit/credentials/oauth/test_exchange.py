"""A code or a refresh token becomes tokens."""

import pytest

from services.credentials.oauth.answers import CallFailed
from services.credentials.oauth.exchange import exchange_code, use_refresh_token
from services.credentials.oauth.steps import Tokens
from tests.support.oauth_flow import ADDRESSES, BIGMODEL, ZAI, drive, zcode

GIVEN = {"code": "c0de", "redirect_uri": "http://127.0.0.1:1/x", "state": "s"}


def test_an_exchange_names_all_that_was_authorized() -> None:
    driven = drive(
        exchange_code(ZAI, ADDRESSES, **GIVEN, verifier=None),
        [
            zcode(
                {
                    "token": "jwt",
                    "zai": {"access_token": "at", "refresh_token": None},
                    "user": {"user_id": 17},
                    "expires_in": None,
                }
            )
        ],
    )

    (ask,) = driven.asks
    assert (ask.method, ask.url, ask.authorization) == ("POST", ADDRESSES.token_url, None)
    assert ask.fields == {"provider": "zai", **GIVEN}
    assert driven.result == Tokens(access_token="at", start_plan_jwt="jwt", user_id="17")


def test_a_verifier_is_sent_where_there_is_one() -> None:
    driven = drive(
        exchange_code(BIGMODEL, ADDRESSES, **GIVEN, verifier="v"),
        [zcode({"bigmodel": {"accessToken": "at", "refreshToken": "rt"}, "expires_in": 60})],
    )

    assert driven.asks[0].fields == {"provider": "bigmodel", **GIVEN, "code_verifier": "v"}
    assert driven.result == Tokens(access_token="at", refresh_token="rt", expires_in=60.0)


@pytest.mark.parametrize("data", [None, [], {}, {"zai": {}}, {"bigmodel": {"access_token": "at"}}])
def test_without_an_access_token_of_this_provider_there_is_no_login(data: object) -> None:
    with pytest.raises(CallFailed, match="no usable access token"):
        drive(exchange_code(ZAI, ADDRESSES, **GIVEN, verifier=None), [zcode(data)])


def test_a_refresh_sends_the_token_and_reads_the_same_answer() -> None:
    driven = drive(
        use_refresh_token(ZAI, ADDRESSES, "rt"),
        [zcode({"zai": {"access_token": "at", "refresh_token": "rt2", "expires_in": 5}})],
    )

    assert driven.asks[0].fields == {"provider": "zai", "grant_type": "refresh_token", "refresh_token": "rt"}
    assert driven.result == Tokens(access_token="at", refresh_token="rt2", expires_in=5.0)


def test_neither_asks_nor_tokens_print_what_they_hold() -> None:
    driven = drive(use_refresh_token(ZAI, ADDRESSES, "canary"), [zcode({"zai": {"access_token": "canary"}})])

    assert "canary" not in f"{driven!r} {driven.result!r} {zcode({'canary': 1})!r}"
