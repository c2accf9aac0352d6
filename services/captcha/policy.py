"""
Whether a request needs a captcha token (upstream.md 5). Pure.

    the upstream challenged this very request       a fresh token, waiting for a person
    it challenged the account a moment ago and
      the provider's configuration asks for tokens  a token, waiting for a person: without one it would ask again
    the configuration asks for tokens               a banked token if there is one, else none: people are asked late
    the configuration asks for none, or is unknown  none

A challenge outranks the configuration, which is up to a minute old.
"""

from enum import Enum
from typing import Final

MEMORY: Final = 120.0  # seconds a challenge is remembered for its account
REFUSALS: Final = 2  # tokens refused one after the other, after which the banked ones are not tried either


class Want(Enum):
    """What to look for."""

    NOTHING = "nothing"
    IF_BANKED = "if_banked"
    TOKEN = "token"  # noqa: S105 -- no secret


def wanted(*, asks: bool, challenged: bool, recently: bool) -> Want:
    """Decide; `asks` is the provider's configuration, `recently` the memory of challenges."""
    if challenged or (asks and recently):
        return Want.TOKEN
    return Want.IF_BANKED if asks else Want.NOTHING
