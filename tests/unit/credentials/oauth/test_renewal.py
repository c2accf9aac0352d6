"""A stored login made anew, and which failure is which."""

import pytest

from services.credentials.oauth.renewal import renew
from services.credentials.oauth.steps import NoAnswer, Reply
from services.credentials.records import Secrets
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    ProviderFailure,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)
from tests.support.oauth_flow import ADDRESSES, BIGMODEL, answer, biz, drive, zcode

HELD = Secrets(api_key="old", access_token="at", refresh_token="rt", start_plan_jwt="jwt")
CUSTOMER = biz({"organizations": [{"organizationId": "o", "projects": [{"projectId": "p"}]}]})
LISTED = biz([{"name": "zcode-api-key", "apiKey": "new"}])
COPIED = biz({"secretKey": "s"})
ROTATED = zcode({"bigmodel": {"access_token": "at2", "refresh_token": "rt2"}, "expires_in": 60, "user": {"id": "u"}})
GONE = NoAnswer(sent=True, why="x")


def renewed(mode: RefreshMode, *replies: Reply, held: Secrets = HELD) -> object:
    return drive(renew(BIGMODEL, ADDRESSES, held, mode), replies).result


def test_a_refresh_token_is_used_and_the_key_resolved_with_what_came_for_it() -> None:
    assert renewed(RefreshMode.ROTATE, ROTATED, CUSTOMER, LISTED, COPIED) == RefreshedSecrets(
        secrets=Secrets(api_key="new.s", access_token="at2", refresh_token="rt2", start_plan_jwt="jwt"),
        expires_in=60.0,
        user_id="u",
    )


@pytest.mark.parametrize("failure", [GONE, answer({}, 401), answer({}, 500), biz({})])
def test_what_came_for_a_refresh_token_is_kept_even_if_the_key_cannot_be_resolved(failure: Reply) -> None:
    assert renewed(RefreshMode.ROTATE, ROTATED, failure) == RefreshedSecrets(
        secrets=Secrets(api_key="old", access_token="at2", refresh_token="rt2", start_plan_jwt="jwt"),
        expires_in=60.0,
        user_id="u",
    )


def test_a_refresh_token_that_is_not_replaced_stays() -> None:
    got = renewed(RefreshMode.ROTATE, zcode({"token": "j2", "bigmodel": {"access_token": "at2"}}), GONE)

    assert isinstance(got, RefreshedSecrets)
    assert (got.secrets.refresh_token, got.secrets.start_plan_jwt) == ("rt", "j2")


@pytest.mark.parametrize("mode", [RefreshMode.RESOLVE, RefreshMode.ROTATE])
def test_without_a_refresh_token_the_access_token_resolves_the_key_anew(mode: RefreshMode) -> None:
    held = Secrets(api_key="old", access_token="at", start_plan_jwt="jwt")

    assert renewed(mode, CUSTOMER, LISTED, COPIED, held=held) == RefreshedSecrets(
        secrets=Secrets(api_key="new.s", access_token="at", start_plan_jwt="jwt")
    )


def test_without_any_token_only_a_person_can_help() -> None:
    with pytest.raises(InvalidGrant):
        renewed(RefreshMode.RESOLVE, held=Secrets(api_key="old"))


@pytest.mark.parametrize(
    ("reply", "spendable", "reusable"),
    [
        (NoAnswer(sent=False, why="x"), TransientFailure, TransientFailure),
        (answer({}, 429, 7.0), TransientFailure, TransientFailure),
        (answer({}, 503), TransientFailure, TransientFailure),
        (GONE, OutcomeUnknown, TransientFailure),
        (answer({}, 500), OutcomeUnknown, TransientFailure),
        (answer({}, 302), OutcomeUnknown, TransientFailure),
        (answer({"code": 0, "data": {}}), OutcomeUnknown, TransientFailure),
        (answer({}, 401), InvalidGrant, InvalidGrant),
        (answer({"code": 2007}), InvalidGrant, InvalidGrant),
        (answer({"error": "invalid_grant"}, 400), InvalidGrant, InvalidGrant),
        (answer({}, 404), TransientFailure, TransientFailure),
        (answer({}, 403), TransientFailure, TransientFailure),
        (answer({"code": 500}), TransientFailure, TransientFailure),
    ],
)
def test_the_table_of_failures(reply: Reply, spendable: type[ProviderFailure], reusable: type[ProviderFailure]) -> None:
    with pytest.raises(ProviderFailure) as rotating:
        renewed(RefreshMode.ROTATE, reply)
    with pytest.raises(ProviderFailure) as resolving:
        renewed(RefreshMode.RESOLVE, reply)

    assert (type(rotating.value), type(resolving.value)) == (spendable, reusable)


def test_a_busy_provider_is_waited_for_as_long_as_it_says() -> None:
    with pytest.raises(TransientFailure) as caught:
        renewed(RefreshMode.ROTATE, answer({}, 429, 7.0))

    assert caught.value.retry_after == 7.0
