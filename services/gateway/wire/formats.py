"""The wire formats this gateway speaks."""

from enum import Enum
from typing import Final


class WireFormat(Enum):
    """A dialect of the chat protocol; the value is the spelling used in configuration, metrics and logs."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    RESPONSES = "responses"  # OpenAI's Responses API; clients only, no upstream of ours speaks it

    __hash__ = object.__hash__  # Enum's own is a Python function, and formats are looked up in every request


UPSTREAM_FORMATS: Final = (WireFormat.OPENAI, WireFormat.ANTHROPIC)
"""What an upstream can be spoken to in."""
