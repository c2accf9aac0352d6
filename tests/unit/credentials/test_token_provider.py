"""How a credential can be made anew."""

import pytest

from services.credentials.contract import Kind
from services.credentials.records import Secrets
from services.credentials.token_provider import RefreshMode, TransientFailure, mode_of

ROTATE, RESOLVE, NONE = RefreshMode
BOTH = Secrets(refresh_token="r", access_token="a")


@pytest.mark.parametrize(
    ("secrets", "setting", "mode"),
    [
        (BOTH, None, ROTATE),
        (BOTH, RESOLVE, RESOLVE),
        (BOTH, NONE, NONE),
        (Secrets(access_token="a"), None, RESOLVE),
        (Secrets(access_token="a"), ROTATE, RESOLVE),
        (Secrets(api_key="k"), None, NONE),
        (Secrets(api_key="k"), RESOLVE, NONE),
    ],
)
def test_the_best_way_that_is_allowed_and_possible(
    secrets: Secrets, setting: RefreshMode | None, mode: RefreshMode
) -> None:
    assert mode_of(Kind.OAUTH, secrets, setting) is mode


def test_a_key_of_the_owners_is_never_made_anew() -> None:
    assert mode_of(Kind.API_KEY, BOTH) is NONE


def test_a_transient_failure_may_say_when_to_try_again() -> None:
    assert TransientFailure("busy", 3.0).retry_after == 3.0
    assert TransientFailure("busy").retry_after is None
