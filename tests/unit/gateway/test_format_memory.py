"""What is remembered of routes that moved, for how long, and what counts as moved."""

import pytest

from services.gateway.format_memory import KEEP, FormatMemory, is_route_gone, other_format
from services.gateway.translation.errors import read_fault
from tests.support.dialects import ANTHROPIC, OPENAI


def test_nothing_is_known_at_first() -> None:
    assert FormatMemory().working(0.0) is None


def test_what_worked_is_known_for_ten_minutes() -> None:
    memory = FormatMemory()
    memory.learn(ANTHROPIC, 100.0)

    assert 600.0 == KEEP
    assert ANTHROPIC is memory.working(100.0)
    assert ANTHROPIC is memory.working(699.9)
    assert memory.working(700.0) is None


def test_it_is_news_once_until_the_other_format_takes_over() -> None:
    memory = FormatMemory()

    assert [True, False, False, True] == [
        memory.learn(ANTHROPIC, 0.0),
        memory.learn(ANTHROPIC, 1.0),
        memory.learn(ANTHROPIC, 2 * KEEP),
        memory.learn(OPENAI, 3 * KEEP),
    ]


def test_what_another_replica_learnt_holds_as_long_as_it_says_and_is_no_news_here() -> None:
    memory = FormatMemory()
    memory.hear(ANTHROPIC, 100.0, 30.0)

    assert ANTHROPIC is memory.working(129.0)
    assert memory.working(130.0) is None
    assert memory.learn(ANTHROPIC, 200.0)


def test_there_are_two_formats() -> None:
    assert (ANTHROPIC, OPENAI) == (other_format(OPENAI), other_format(ANTHROPIC))


@pytest.mark.parametrize(
    ("status", "body", "gone"),
    [
        (404, b'{"status":404,"error":"Not Found","path":"/x"}', True),
        (404, b"", True),
        (404, b"<html>not here</html>", True),
        (404, b'{"error":{"code":"1221","message":"offline"}}', True),
        (404, b'{"error":{"code":"1222","message":"no such API"}}', True),
        (404, b'{"error":{"code":"1211","message":"no such model"}}', False),
        (404, b'{"error":{"code":"model_not_found","message":"no such model"}}', False),
        (405, b'{"code":3012,"msg":"method not allowed"}', False),
        (400, b'{"error":{"code":"1222","message":"no such API"}}', False),
        (502, b"", False),
    ],
)
def test_a_route_is_gone_when_nobody_is_there_not_when_a_model_is_unknown(
    status: int, body: bytes, *, gone: bool
) -> None:
    assert gone is is_route_gone(read_fault(status, body))
