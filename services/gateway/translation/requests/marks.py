"""
Texts that stand for what the other dialect has no field for.

They are fixed, because the other direction recognises them and because they are part of the cached prompt.
"""

ERROR_MARK = "[tool error]\n"
UNSEEN_IMAGE = "[An image was left out here: this model cannot see images.]"


def mark_error(text: str) -> str:
    """Return a tool result's text with the line that says the tool failed."""
    return ERROR_MARK + text


def unmark_error(text: str) -> tuple[str, bool]:
    """Return the text without that line, and whether it was there."""
    if text.startswith(ERROR_MARK):
        return text[len(ERROR_MARK) :], True
    return text, False


def system_reminder(text: str) -> str:
    """Return the text of a user message that stands for a system message in mid-conversation."""
    return f"<system-reminder>\n{text}\n</system-reminder>"
