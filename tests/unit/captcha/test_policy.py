"""When a captcha token is looked for, and how hard."""

import pytest

from services.captcha.policy import Want, wanted


@pytest.mark.parametrize(
    ("asks", "challenged", "recently", "want"),
    [
        (False, False, False, Want.NOTHING),
        (False, False, True, Want.NOTHING),
        (False, True, False, Want.TOKEN),
        (False, True, True, Want.TOKEN),
        (True, False, False, Want.IF_BANKED),
        (True, False, True, Want.TOKEN),
        (True, True, False, Want.TOKEN),
        (True, True, True, Want.TOKEN),
    ],
)
def test_a_person_is_asked_only_when_the_provider_does(
    asks: bool, challenged: bool, recently: bool, want: Want
) -> None:
    assert wanted(asks=asks, challenged=challenged, recently=recently) is want
