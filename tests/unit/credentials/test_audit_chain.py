"""No line of an audit log can be changed, left out, added or moved unseen."""

from collections.abc import Callable

import pytest

from services.credentials import audit_chain
from services.credentials.audit_chain import START, Event, Head, Verdict

KEYS = {1: b"1" * 32, 2: b"2" * 32}
COUNT = 12


def event(number: int) -> Event:
    return Event(time=1_800_000_000.0 + number, event="key.create", actor="cli:ann", object=f"key {number}")


def log(count: int = COUNT, kid: Callable[[int], int] = lambda number: 1 + (number > COUNT // 2)) -> list[bytes]:
    lines: list[bytes] = []
    head = START
    for number in range(1, count + 1):
        lines.append(audit_chain.seal(event(number), head, kid=kid(number), key=KEYS[kid(number)]))
        found = audit_chain.head_of(lines[-1])
        assert found is not None
        head = found
    return lines


LINES = log()
LAST = audit_chain.head_of(LINES[-1]) or START


def proof(lines: list[bytes], anchor: Head = LAST, keys: dict[int, bytes] | None = None) -> Verdict:
    return audit_chain.verify(lines, (KEYS if keys is None else keys).get, anchor)


def test_a_log_as_it_was_written_is_proven() -> None:
    assert proof(LINES) == Verdict(LAST)
    assert proof([], START) == Verdict(START)
    assert LAST.seq == COUNT


def test_a_line_says_what_happened_and_ends_with_its_mac() -> None:
    line = LINES[0].decode()

    assert line.startswith('{"seq":1,"time":1800000001.0,"event":"key.create","actor":"cli:ann","object":"key 1"')
    assert f'"prev":"{"0" * 64}","kid":1,"mac":"' in line
    assert line.endswith('"}')


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("number", range(COUNT))
def test_a_line_left_out_shows(number: int) -> None:
    verdict = proof(LINES[:number] + LINES[number + 1 :])

    assert verdict.line == number + 1
    assert verdict.fault


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("number", range(COUNT))
def test_a_line_changed_in_any_byte_shows(number: int) -> None:
    for position in range(len(LINES[number])):
        changed = bytearray(LINES[number])
        changed[position] ^= 1
        assert 0 < proof([*LINES[:number], bytes(changed), *LINES[number + 1 :]]).line <= number + 2


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("other", range(COUNT))
def test_two_lines_in_each_others_place_show(number: int, other: int) -> None:
    lines = LINES.copy()
    lines[number], lines[other] = lines[other], lines[number]

    assert proof(lines).line == (0 if number == other else min(number, other) + 1)


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("place", range(COUNT + 1))
def test_a_line_too_many_shows(place: int) -> None:
    for added in (LINES[0], b"", b"{}", b"\xff"):
        assert proof([*LINES[:place], added, *LINES[place:]]).line in (place + 1, place + 2)


def rewritten(first: int, kid: int) -> list[bytes]:
    """Return the log with all from line `first` on made up by somebody without the keys."""
    lines = LINES[: first - 1]
    head = audit_chain.head_of(lines[-1]) or START
    for number in range(first, COUNT + 1):
        lines.append(audit_chain.seal(event(number + 100), head, kid=kid, key=b"x" * 32))
        head = audit_chain.head_of(lines[-1]) or START
    return lines


@pytest.mark.promise("P-57")
@pytest.mark.parametrize("kid", [1, 2, 99])
@pytest.mark.parametrize("anchored", [3, COUNT])
def test_an_end_made_up_without_the_keys_shows_even_under_a_key_that_nobody_has(kid: int, anchored: int) -> None:
    anchor = audit_chain.head_of(LINES[anchored - 1]) or START

    assert proof(rewritten(5, kid), anchor).fault


def test_lines_of_a_deleted_key_are_vouched_for_by_those_after_them() -> None:
    left = {2: KEYS[2]}

    assert proof(LINES, keys=left) == Verdict(LAST, COUNT // 2)
    assert proof(LINES, START, keys=left) == Verdict(LAST, COUNT // 2)
    assert proof(LINES, keys={}) == Verdict(LAST, COUNT)
    assert proof(LINES[: COUNT // 2], START, keys=left).line == 1


def test_lines_beyond_the_anchor_are_proven_by_their_own_macs() -> None:
    anchor = audit_chain.head_of(LINES[4]) or START

    assert proof(LINES, anchor) == Verdict(LAST)
    assert proof(LINES[:4], anchor).fault.startswith("is missing")


def test_what_is_no_line_makes_no_head() -> None:
    assert audit_chain.head_of(b"torn") is None
    assert audit_chain.head_of(b'{"seq":"\xff"}') is None
