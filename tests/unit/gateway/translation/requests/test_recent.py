"""What the last requests said."""

import msgspec

from services.gateway.translation.requests.recent import Recent


class Question:
    """Asks about texts, and says of each whether it had to be found out."""

    def __init__(self, recent: Recent[str]) -> None:
        self._recent = recent
        self._found: list[str] = []

    def is_new(self, text: str, scope: tuple[object, ...] = ()) -> bool:
        before = len(self._found)
        assert self._recent.recalled(msgspec.Raw(text.encode()), scope, self._find) == f"about {text}"
        return len(self._found) > before

    def _find(self, given: msgspec.Raw) -> str:
        self._found.append(bytes(given).decode())
        return f"about {self._found[-1]}"


def test_equal_bytes_under_an_equal_scope_are_found_out_once() -> None:
    question = Question(Recent())

    assert question.is_new("[1]", ("a", 1))
    assert not question.is_new("[1]", ("a", 1))
    assert question.is_new("[1]", ("a", 2))
    assert question.is_new("[2]", ("a", 1))


def test_the_one_that_was_not_asked_for_goes_first() -> None:
    question = Question(Recent(kept=2))
    asked = [question.is_new(text) for text in ("1", "2", "1", "3", "1", "2")]

    assert asked == [True, True, False, True, False, True]


def test_the_bytes_are_bounded_together_and_each() -> None:
    question = Question(Recent(room=10))
    for text in ("1234", "567890", "1" * 11):
        question.is_new(text)

    assert [question.is_new(text) for text in ("1" * 11, "1234", "567890")] == [True, False, False]
    question.is_new("7")
    assert [question.is_new(text) for text in ("567890", "7", "1234")] == [False, False, True]


def test_the_body_that_it_came_in_is_not_kept() -> None:
    body = b'{"tools":[1,2,3],"text":"' + b"x" * 1000 + b'"}'
    view = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["tools"]
    given: list[msgspec.Raw] = []
    Recent[None]().recalled(view, (), given.append)

    assert bytes(given[0]) == b"[1,2,3]"
    assert memoryview(given[0]).obj is not memoryview(view).obj
