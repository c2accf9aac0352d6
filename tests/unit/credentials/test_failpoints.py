"""Places where a test may break a process."""

import time

import pytest

from services.credentials.failpoints import VARIABLE, FailpointReached, Failpoints, Rule, parse


def test_rules_are_read_in_order() -> None:
    assert parse("a.b:3:kill,c:0:sleep=0.5,d:1:stop,") == (
        Rule("a.b", 3, "kill"),
        Rule("c", 0, "sleep", 0.5),
        Rule("d", 1, "stop"),
    )
    assert parse("") == ()


@pytest.mark.parametrize("text", ["a", "a:1", "a:x:kill", "a:-1:kill", "a:1:explode", "a:1:sleep=x", "a:1:kill:more"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


async def test_a_rule_acts_at_its_turn_only() -> None:
    failpoints = Failpoints.of({VARIABLE: "a:2:raise"})
    await failpoints.at("a")
    await failpoints.at("b")
    with pytest.raises(FailpointReached):
        await failpoints.at("a")
    await failpoints.at("a")

    assert failpoints.reached == {"a": 3, "b": 1}


async def test_turn_0_is_every_turn_and_sleeping_takes_time() -> None:
    failpoints = Failpoints(parse("a:0:sleep=0.01"))
    begun = time.monotonic()
    await failpoints.at("a")
    await failpoints.at("a")

    assert time.monotonic() - begun >= 0.02


async def test_without_rules_nothing_is_even_counted() -> None:
    failpoints = Failpoints.of({})
    await failpoints.at("a")

    assert not failpoints.reached
