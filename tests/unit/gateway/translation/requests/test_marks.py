"""The fixed texts."""

from services.gateway.translation.requests.marks import mark_error, system_reminder, unmark_error


def test_a_marked_error_is_recognised_and_its_text_restored() -> None:
    assert unmark_error(mark_error("boom")) == ("boom", True)
    assert unmark_error("boom") == ("boom", False)


def test_json_with_an_error_key_is_not_a_marked_error() -> None:
    assert unmark_error('{"error":null}') == ('{"error":null}', False)


def test_a_reminder_is_wrapped() -> None:
    assert system_reminder("be brief") == "<system-reminder>\nbe brief\n</system-reminder>"
