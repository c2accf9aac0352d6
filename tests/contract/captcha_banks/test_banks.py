"""
What a bank of captcha tokens promises (promises.md C4).

Shown to fail once by: handing out the newest token first; keeping the place of somebody who left; renewing no place;
taking `least` off nowhere; not looking at what a claim got before.
"""

import asyncio
import time

import pytest

from services.captcha.banks.port import Granted, Note, NotYet
from services.captcha.contract import Captcha
from tests.contract.captcha_banks.conftest import CAPACITY, QUEUE, TIMES, Banks

ACCOUNT = "crd_a"


def token(number: int = 0) -> Captcha:
    return Captcha(param=f"param-{number}", region="sgp")


def number_of(found: object) -> int:
    assert isinstance(found, Granted), found
    return int(found.token.param.removeprefix("param-"))


async def test_a_token_is_handed_out_as_it_came(banks: Banks) -> None:
    assert await banks.bank.put(ACCOUNT, token(1))
    found = await banks.other.claim(ACCOUNT, "one", wait=False)

    assert isinstance(found, Granted)
    assert found.token == token(1)


async def test_a_token_is_handed_out_once(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())

    assert number_of(await banks.bank.claim(ACCOUNT, "one", wait=False)) == 0
    assert await banks.bank.claim(ACCOUNT, "two", wait=False) is NotYet.NOTHING
    assert await banks.other.claim(ACCOUNT, "three", wait=False) is NotYet.NOTHING


async def test_the_same_try_gets_the_same_token_again(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token(1))
    await banks.bank.put(ACCOUNT, token(2))
    first = await banks.bank.claim(ACCOUNT, "one", wait=False)

    assert await banks.other.claim(ACCOUNT, "one", wait=True) == first
    another = await banks.bank.claim(ACCOUNT, "two", wait=False)
    assert {number_of(first), number_of(another)} == {1, 2}  # which is older, if they came in one millisecond, is open


async def test_a_dead_token_is_not_given_to_the_same_try_either(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())
    await banks.bank.claim(ACCOUNT, "one", wait=False)
    await banks.pass_time(TIMES.life - TIMES.least + 0.1)

    assert await banks.bank.claim(ACCOUNT, "one", wait=False) is NotYet.NOTHING


async def test_a_token_that_was_seen_is_not_taken_again(banks: Banks) -> None:
    assert await banks.bank.put(ACCOUNT, token())
    assert not await banks.other.put(ACCOUNT, token())
    await banks.bank.claim(ACCOUNT, "one", wait=False)

    assert not await banks.bank.put(ACCOUNT, token())


async def test_an_account_gets_its_own_tokens_only(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())

    assert await banks.bank.claim("crd_b", "one", wait=False) is NotYet.NOTHING


async def test_a_token_dies_with_some_life_left(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())
    await banks.pass_time(TIMES.life - TIMES.least + 0.1)

    assert await banks.bank.claim(ACCOUNT, "one", wait=False) is NotYet.NOTHING
    assert (await banks.bank.standing(ACCOUNT)).lives == ()


async def test_the_oldest_goes_first_and_makes_room(banks: Banks) -> None:
    for number in range(CAPACITY + 1):
        await banks.bank.put(ACCOUNT, token(number))
        await banks.pass_time(0.01)
    found = [number_of(await banks.bank.claim(ACCOUNT, str(number), wait=False)) for number in range(CAPACITY)]

    assert found == list(range(1, CAPACITY + 1))


async def test_who_waits_is_served_in_order(banks: Banks) -> None:
    for name in ("one", "two", "three"):
        assert await banks.bank.claim(ACCOUNT, name, wait=True) is NotYet.WAITING
    await banks.other.put(ACCOUNT, token(1))

    assert await banks.bank.claim(ACCOUNT, "three", wait=True) is NotYet.WAITING
    assert await banks.other.claim(ACCOUNT, "four", wait=False) is NotYet.NOTHING
    assert await banks.bank.claim(ACCOUNT, "two", wait=True) is NotYet.WAITING
    assert number_of(await banks.bank.claim(ACCOUNT, "one", wait=True)) == 1
    await banks.other.put(ACCOUNT, token(2))
    assert await banks.bank.claim(ACCOUNT, "three", wait=True) is NotYet.WAITING
    assert number_of(await banks.bank.claim(ACCOUNT, "two", wait=True)) == 2


async def test_several_tokens_serve_as_many_at_once(banks: Banks) -> None:
    for name in ("one", "two", "three"):
        await banks.bank.claim(ACCOUNT, name, wait=True)
    await banks.bank.put(ACCOUNT, token(1))
    await banks.bank.put(ACCOUNT, token(2))

    assert await banks.bank.claim(ACCOUNT, "three", wait=True) is NotYet.WAITING
    assert number_of(await banks.bank.claim(ACCOUNT, "two", wait=True)) in (1, 2)
    assert number_of(await banks.bank.claim(ACCOUNT, "one", wait=True)) in (1, 2)


async def test_who_leaves_holds_nobody_up(banks: Banks) -> None:
    for name in ("one", "two"):
        await banks.bank.claim(ACCOUNT, name, wait=True)
    await banks.bank.leave(ACCOUNT, "one")
    await banks.bank.put(ACCOUNT, token())

    assert number_of(await banks.other.claim(ACCOUNT, "two", wait=True)) == 0
    assert (await banks.bank.standing(ACCOUNT)).waiting == 0


async def test_who_does_not_ask_again_loses_the_place(banks: Banks) -> None:
    await banks.bank.claim(ACCOUNT, "dead", wait=True)
    await banks.bank.claim(ACCOUNT, "alive", wait=True)
    await banks.pass_time(TIMES.place * 0.7)
    await banks.bank.claim(ACCOUNT, "alive", wait=True)
    await banks.pass_time(TIMES.place * 0.7)
    await banks.bank.put(ACCOUNT, token())

    assert (await banks.bank.standing(ACCOUNT)).waiting == 1
    assert number_of(await banks.bank.claim(ACCOUNT, "alive", wait=True)) == 0


async def test_a_full_line_refuses_at_once_and_keeps_its_order(banks: Banks) -> None:
    for number in range(QUEUE):
        assert await banks.bank.claim(ACCOUNT, str(number), wait=True) is NotYet.WAITING
    assert await banks.other.claim(ACCOUNT, "late", wait=True) is NotYet.FULL
    assert await banks.bank.claim(ACCOUNT, "0", wait=True) is NotYet.WAITING
    assert (await banks.bank.standing(ACCOUNT)).waiting == QUEUE


async def test_standing_tells_lives_and_line(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())
    await banks.bank.claim(ACCOUNT, "one", wait=True)
    await banks.bank.claim(ACCOUNT, "two", wait=True)
    await banks.bank.put(ACCOUNT, token(2))
    await banks.pass_time(0.2)
    standing = await banks.other.standing(ACCOUNT)

    [life] = standing.lives
    assert 0 < life <= TIMES.life - TIMES.least - 0.125
    assert standing.waiting == 1
    assert 0.125 <= standing.waited < 60


async def test_a_challenge_is_remembered_for_its_time(banks: Banks) -> None:
    assert (await banks.bank.standing(ACCOUNT)).challenged == 0
    await banks.bank.note(ACCOUNT, Note.CHALLENGED)

    assert 0 < (await banks.other.standing(ACCOUNT)).challenged <= TIMES.memory
    await banks.pass_time(TIMES.memory + 0.1)
    assert (await banks.bank.standing(ACCOUNT)).challenged == 0


async def test_the_second_refused_token_in_a_row_empties_the_bank(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token(1))
    assert await banks.bank.note(ACCOUNT, Note.REFUSED) == 1
    assert len((await banks.bank.standing(ACCOUNT)).lives) == 1
    assert await banks.other.note(ACCOUNT, Note.REFUSED) == 2
    standing = await banks.bank.standing(ACCOUNT)

    assert (standing.lives, standing.refused) == ((), 2)
    assert standing.challenged > 0


async def test_a_served_try_ends_the_row_of_refusals(banks: Banks) -> None:
    await banks.bank.note(ACCOUNT, Note.REFUSED)
    await banks.bank.note(ACCOUNT, Note.SERVED)
    await banks.bank.put(ACCOUNT, token())

    assert await banks.bank.note(ACCOUNT, Note.REFUSED) == 1
    assert len((await banks.bank.standing(ACCOUNT)).lives) == 1


async def test_a_format_is_known_for_its_time(banks: Banks) -> None:
    assert (await banks.bank.standing(ACCOUNT)).working is None
    await banks.bank.learn(ACCOUNT, "anthropic", 0.5)
    standing = await banks.other.standing(ACCOUNT)

    assert (standing.working, 0 < standing.working_for <= 0.5) == ("anthropic", True)
    await banks.pass_time(0.6)
    assert (await banks.bank.standing(ACCOUNT)).working is None


async def test_a_name_is_marked_once_and_forgotten_in_time(banks: Banks) -> None:
    assert await banks.bank.first("link/one", 0.5)
    assert not await banks.other.first("link/one", 0.5)
    assert await banks.bank.first("link/two", 0.5)
    await banks.pass_time(0.6)
    assert await banks.bank.first("link/one", 0.5)


async def test_a_change_of_this_process_rings(banks: Banks) -> None:
    bell = banks.bank.bell(ACCOUNT)
    await banks.bank.put(ACCOUNT, token())
    async with asyncio.timeout(30):
        await bell.wait()
    other = banks.bank.bell(ACCOUNT)

    assert not other.is_set()


async def test_expiry_is_told_in_seconds_since_the_epoch(banks: Banks) -> None:
    await banks.bank.put(ACCOUNT, token())
    found = await banks.bank.claim(ACCOUNT, "one", wait=False)

    assert isinstance(found, Granted)
    assert found.expires_at > 1_700_000_000
    assert found.expires_at < max(time.time(), 1_800_000_000.0) + TIMES.life + 60


@pytest.mark.parametrize("name", ["", "a b", "{x}", "x" * 201, "é"])
async def test_names_cannot_reach_elsewhere_in_redis(banks: Banks, name: str) -> None:
    if banks.bank is banks.other:
        return  # memory has no key names
    with pytest.raises(ValueError, match="characters"):
        await banks.bank.standing(name)
