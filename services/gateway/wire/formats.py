"""The wire formats this gateway speaks."""

from enum import StrEnum
from typing import Final


class WireFormat(StrEnum):
    """
    A dialect of the chat protocol; the value is the spelling used in configuration, metrics and logs.

    A StrEnum, because members are looked up by and written down in every request, and an Enum's own hash and value are
    Python functions.
    """

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    RESPONSES = "responses"  # OpenAI's Responses API; clients only, no upstream of ours speaks it


# For the data path: Python 3.11 looks an Enum's member up by calling its class, at the price of a function of ours.
OPENAI: Final = WireFormat.OPENAI
ANTHROPIC: Final = WireFormat.ANTHROPIC
RESPONSES: Final = WireFormat.RESPONSES

UPSTREAM_FORMATS: Final = (WireFormat.OPENAI, WireFormat.ANTHROPIC)
"""What an upstream can be spoken to in."""
