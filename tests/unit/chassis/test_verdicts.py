"""A question about a name is asked once, and what is remembered of the answers is bounded."""

from services.chassis.verdicts import Verdicts

_MOST = 1024


class Judge:
    """Says yes to what begins with an x, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, name: bytes) -> bool:
        self.asked.append(name)
        return name.startswith(b"x")


def test_each_name_is_judged_once() -> None:
    judge = Judge()
    verdict_of = Verdicts(judge).__getitem__

    assert [*map(verdict_of, (b"x-a", b"b", b"x-a", b"b"))] == [True, False, True, False]
    assert judge.asked == [b"x-a", b"b"]


def test_names_without_end_are_judged_rightly_and_not_all_kept() -> None:
    judge = Judge()
    verdicts = Verdicts(judge)

    for number in range(5 * _MOST):
        assert verdicts[b"x-%d" % number] is True
        assert verdicts[b"y-%d" % number] is False
        assert len(verdicts) <= _MOST
    assert verdicts[b"x-0"] is True
