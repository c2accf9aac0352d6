"""Links, sessions and tickets."""

import itertools
from pathlib import Path

import pytest

from services.captcha.keys import Keys
from services.captcha.passes import LINK_LIFE, TICKET_LIFE, Passes
from services.chassis.peer.token_file import TokenFile, generate

NOW = 1_800_000_000.25


@pytest.fixture
def passes(tmp_path: Path) -> Passes:
    generate(tmp_path / "key")
    numbers = itertools.count()
    return Passes(Keys(TokenFile(tmp_path / "key")), lambda: f"{next(numbers):022}")


def test_a_link_says_whose_page_it_opens_and_lives_ten_minutes(passes: Passes) -> None:
    link = passes.link("zai", NOW)
    found = passes.read_link(link, NOW + LINK_LIFE - 0.001)

    assert found is not None
    assert (found.subject, found.made) == ("zai", NOW)
    assert passes.read_link(link, NOW + LINK_LIFE) is None


def test_no_kind_passes_for_another(passes: Passes) -> None:
    link, session = passes.link("zai", NOW), passes.session("zai", NOW, 3600)

    assert passes.read_session(link, NOW) is None
    assert passes.read_link(session, NOW) is None


@pytest.mark.parametrize("position", range(5))
def test_whatever_is_changed_is_noticed(passes: Passes, position: int) -> None:
    parts = passes.link("zai", NOW).split(".")
    parts[position] = {0: "bigmodel", 1: "9" * 22, 2: "1", 3: "9999999999999", 4: "0" * 32}[position]

    assert passes.read_link(".".join(parts), NOW) is None


@pytest.mark.parametrize("text", ["", ".", "a.b.c.d.e", "é", "x" * 401, "a.b.c.d.é", "....", "a.b.c.d"])
def test_nonsense_opens_nothing(passes: Passes, text: str) -> None:
    assert passes.read_link(text, NOW) is None


def test_a_ticket_is_for_one_session_and_one_account(passes: Passes) -> None:
    mine, other = (passes.read_session(passes.session("zai", NOW, 3600), NOW) for _ in range(2))
    assert mine is not None
    assert other is not None
    ticket = passes.ticket(mine, "crd_a", NOW)

    assert passes.read_ticket(ticket, mine, "crd_a", NOW) is not None
    assert passes.read_ticket(ticket, other, "crd_a", NOW) is None
    assert passes.read_ticket(ticket, mine, "crd_b", NOW) is None
    assert passes.read_ticket(ticket, mine, "crd_a", NOW + TICKET_LIFE) is None


def test_an_account_may_hold_dots(passes: Passes) -> None:
    session = passes.read_session(passes.session("zai", NOW, 3600), NOW)
    assert session is not None

    assert passes.read_ticket(passes.ticket(session, "a.b", NOW), session, "a.b", NOW) is not None


@pytest.mark.parametrize("provider", ["", "a.b", "a b", "x" * 65])
def test_a_provider_that_cannot_be_written_is_refused(passes: Passes, provider: str) -> None:
    with pytest.raises(ValueError, match="letters"):
        passes.link(provider, NOW)
