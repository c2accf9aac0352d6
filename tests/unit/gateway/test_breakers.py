"""Every row of the circuits' table, on a clock that the test moves."""

import pytest

from services.gateway.breakers import _MOST, Circuits, Rules, State, Verdict, verdict_of
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.own_faults import overloaded, timeout, unreachable

KEY = "a"


class Bench:
    """One circuit and its time."""

    def __init__(self, **rules: float) -> None:
        self.circuits: Circuits[str] = Circuits(Rules(**rules))  # type: ignore[arg-type]
        self.now = 1000.0

    @property
    def state(self) -> State | None:
        return self.circuits.states().get(KEY)

    @property
    def left(self) -> float:
        return self.circuits.left(KEY, self.now)

    def enter(self) -> int:
        assert self.left == 0.0
        return self.circuits.enter(KEY, self.now)

    def good(self, ticket: int = 0) -> None:
        self.circuits.good(KEY, ticket, self.now)

    def failed(self, ticket: int = 0, chance: float = 0.0) -> float | None:
        return self.circuits.failed(KEY, ticket, self.now, chance)

    def open(self) -> float:
        """Fail until it opens; return the rest."""
        for _ in range(100):
            rest = self.failed(self.enter())
            if rest is not None:
                return rest
        raise AssertionError("it never opens")


def test_while_all_is_well_there_is_no_circuit() -> None:
    bench = Bench()
    bench.good(bench.enter())
    bench.circuits.nothing(KEY, 0, bench.now)

    assert not bench.circuits
    assert bench.left == 0.0


def test_five_failures_in_a_row_open_it_for_ten_seconds() -> None:
    bench = Bench()

    assert [bench.failed() for _ in range(5)] == [None, None, None, None, 10.0]
    assert bench.state is State.OPEN
    assert bench.left == 10.0


def test_a_success_in_between_begins_the_row_anew() -> None:
    bench = Bench()
    for _ in range(3):
        for _ in range(4):
            assert bench.failed() is None
        bench.good()

    assert bench.state is State.CLOSED


def test_half_of_twenty_calls_in_half_a_minute_open_it_too() -> None:
    bench = Bench()
    opened = []
    for _ in range(10):
        opened.append(bench.failed())
        bench.good()
        bench.now += 1.0

    assert opened == [None] * 10
    assert bench.failed() == 10.0


def test_fewer_than_half_do_not() -> None:
    bench = Bench()
    for _ in range(100):
        assert bench.failed() is None
        bench.good()
        bench.good()
        bench.now += 0.5

    assert bench.state is State.CLOSED


@pytest.mark.parametrize("pause", [16.0, 40.0])
def test_what_is_older_than_the_window_does_not_count(pause: float) -> None:
    bench = Bench()
    for _ in range(9):
        bench.failed()
        bench.good()
    bench.now += pause
    bench.failed()
    bench.good()
    assert bench.state is State.CLOSED
    bench.now += pause

    assert bench.failed() is None


def test_after_a_quiet_window_a_success_forgets_it() -> None:
    bench = Bench()
    bench.failed()
    bench.now += 30.0
    bench.good()
    assert bench.state is State.CLOSED
    bench.now += 0.1
    bench.good()

    assert not bench.circuits


def test_chance_makes_a_rest_up_to_a_fifth_longer() -> None:
    bench = Bench()
    for _ in range(4):
        bench.failed()

    assert bench.failed(chance=0.5) == 11.0
    assert bench.left == 11.0


def test_after_its_rest_it_lets_one_through() -> None:
    bench = Bench()
    bench.now += bench.open()
    ticket = bench.enter()

    assert ticket == 1
    assert bench.state is State.PROBING
    assert bench.left == 10.0


def test_a_probe_that_is_long_in_coming_back_is_joined_by_another() -> None:
    bench = Bench()
    bench.now += bench.open()
    bench.enter()
    bench.now += 10.0
    second = bench.enter()
    assert bench.left == 10.0
    bench.good(second)

    assert not bench.circuits


def test_a_good_probe_closes_it_and_forgets_how_often_it_opened() -> None:
    bench = Bench()
    bench.now += bench.open()
    bench.good(bench.enter())

    assert bench.state is None
    assert bench.open() == 10.0


def test_each_bad_probe_doubles_the_rest_up_to_five_minutes() -> None:
    bench = Bench()
    rests = [bench.open()]
    for _ in range(30):
        bench.now += bench.left
        rests.append(bench.failed(bench.enter()) or 0.0)

    assert rests[:7] == [10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert set(rests[7:]) == {300.0}


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    bench = Bench()
    bench.now += bench.open()
    ticket = bench.enter()
    bench.circuits.nothing(KEY, ticket, bench.now)
    assert bench.state is State.OPEN
    bench.good(bench.enter())

    assert not bench.circuits


def test_a_call_that_says_nothing_changes_nothing_otherwise() -> None:
    bench = Bench()
    bench.failed()
    bench.circuits.nothing(KEY, 0, bench.now)
    assert bench.state is State.CLOSED
    for _ in range(4):
        bench.failed()
    bench.circuits.nothing(KEY, 1, bench.now)

    assert bench.left == 10.0


def test_calls_begun_before_it_opened_say_nothing_any_more() -> None:
    bench = Bench()
    old = bench.enter()
    bench.now += bench.open()
    assert bench.failed(old) is None
    assert bench.left == 0.0
    probe = bench.enter()
    bench.good(old)
    bench.circuits.nothing(KEY, old, bench.now)
    assert bench.state is State.PROBING
    bench.good(probe)
    bench.failed(probe)

    assert not bench.circuits


def test_circuits_of_different_keys_are_different() -> None:
    bench = Bench()
    bench.open()

    assert bench.circuits.left("b", bench.now) == 0.0
    assert bench.circuits.enter("b", bench.now) == 0


def test_there_are_only_so_many_and_the_stale_ones_make_room() -> None:
    bench = Bench()
    bench.open()
    for number in range(_MOST + 5):
        bench.circuits.failed(f"key {number}", 0, bench.now, 0.0)
    assert len(bench.circuits) == _MOST
    bench.now += 31.0
    bench.circuits.failed("new", 0, bench.now, 0.0)

    assert set(bench.circuits.states()) == {KEY, "new"}


def _of(status: int, code: str) -> Fault:
    return read_fault(status, b'{"error":{"code":"%s","message":"x"}}' % code.encode(), now=0.0, headers=[])


@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (None, Verdict.GOOD),
        (_of(429, "1302"), Verdict.THROTTLED),
        (_of(429, "1303"), Verdict.THROTTLED),
        (_of(429, "1305"), Verdict.CROWDED),
        (_of(200, "1312"), Verdict.CROWDED),
        (_of(500, "1234"), Verdict.FAILED),
        (_of(503, ""), Verdict.FAILED),
        (timeout("late"), Verdict.FAILED),
        (unreachable("broke off"), Verdict.FAILED),
        (_of(400, "1210"), Verdict.NOTHING),
        (_of(401, "1001"), Verdict.NOTHING),
        (_of(429, "1308"), Verdict.NOTHING),
        (_of(429, "1313"), Verdict.NOTHING),
        (_of(405, "3012"), Verdict.NOTHING),
        (Fault(status=500, message="", action=Action.CONFIGURATION), Verdict.NOTHING),
        (overloaded(1.0), Verdict.THROTTLED),
    ],
)
def test_what_an_answer_says_of_the_upstream(fault: Fault | None, verdict: Verdict) -> None:
    assert verdict_of(fault) is verdict
