"""The two dialects the stand-in speaks. Not the gateway's type: the simulator knows nothing of the gateway."""

from enum import Enum


class Wire(Enum):
    """A chat dialect."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
