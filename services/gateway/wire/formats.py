"""The wire formats this gateway speaks, on either side."""

from enum import Enum


class WireFormat(Enum):
    """A dialect of the chat protocol; the value is the spelling used in configuration, metrics and logs."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"

    __hash__ = object.__hash__  # Enum's own is a Python function, and formats are looked up in every request
