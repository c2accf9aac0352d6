"""What the last requests said."""

import msgspec

from services.gateway.translation.requests.recent import Recent


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def test_equal_bytes_under_an_equal_scope_are_found_again() -> None:
    recent = Recent[str]()
    recent.keep(raw("[1]"), ("a", 1), "found")

    assert recent.find(raw("[1]"), ("a", 1)) == "found"
    assert recent.find(raw("[1]"), ("a", 2)) is None
    assert recent.find(raw("[2]"), ("a", 1)) is None


def test_the_one_that_was_not_asked_for_goes_first() -> None:
    recent = Recent[int](kept=2)
    for number in (1, 2):
        recent.keep(raw(str(number)), (), number)
    assert recent.find(raw("1"), ()) == 1

    recent.keep(raw("3"), (), 3)

    assert [recent.find(raw(str(number)), ()) for number in (1, 2, 3)] == [1, None, 3]


def test_the_bytes_are_bounded_together_and_each() -> None:
    recent = Recent[int](room=10)
    for text in ("1234", "567890"):
        recent.keep(raw(text), (), len(text))
    recent.keep(raw("1" * 11), (), 11)

    assert [recent.find(raw(text), ()) for text in ("1234", "567890", "1" * 11)] == [4, 6, None]
    recent.keep(raw("7"), (), 1)
    assert [recent.find(raw(text), ()) for text in ("1234", "567890", "7")] == [None, 6, 1]
