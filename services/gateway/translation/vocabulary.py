"""
Why a model stops, in both vendors' words (translation.md A7). Error types have their own table in `errors`.

A value that is in no table here is unknown: a reader then decides by what else it saw.
"""

from typing import Final

from services.gateway.translation.streams.events import Finish, StopReason

_OPENAI: Final = {
    "stop": StopReason.END,
    "length": StopReason.LENGTH,
    "tool_calls": StopReason.TOOLS,
    "function_call": StopReason.TOOLS,
    "content_filter": StopReason.REFUSAL,
    "sensitive": StopReason.REFUSAL,  # GLM
    "model_context_window_exceeded": StopReason.CONTEXT_WINDOW,  # GLM
}

_ANTHROPIC: Final = {
    "end_turn": StopReason.END,
    "stop_sequence": StopReason.STOP_SEQUENCE,
    "max_tokens": StopReason.LENGTH,
    "tool_use": StopReason.TOOLS,
    "pause_turn": StopReason.PAUSE,
    "refusal": StopReason.REFUSAL,
    "sensitive": StopReason.REFUSAL,  # GLM
    "model_context_window_exceeded": StopReason.CONTEXT_WINDOW,
    "compaction": StopReason.END,
}

# GLM reports an inference that broke as a finish reason and not as an error; other servers say `error`.
_FAILURES: Final = frozenset({"network_error", "error"})

_TO_OPENAI: Final = {
    StopReason.END: "stop",
    StopReason.STOP_SEQUENCE: "stop",
    StopReason.LENGTH: "length",
    StopReason.TOOLS: "tool_calls",
    StopReason.REFUSAL: "content_filter",
    StopReason.PAUSE: "stop",  # no equivalent; the writer adds x_stop_reason
    StopReason.CONTEXT_WINDOW: "length",
}

_TO_ANTHROPIC: Final = {
    StopReason.END: "end_turn",
    StopReason.STOP_SEQUENCE: "stop_sequence",
    StopReason.LENGTH: "max_tokens",
    StopReason.TOOLS: "tool_use",
    StopReason.REFUSAL: "refusal",
    StopReason.PAUSE: "pause_turn",
    StopReason.CONTEXT_WINDOW: "model_context_window_exceeded",
}


def from_openai(finish_reason: str) -> StopReason | None:
    """Return the meaning of a finish_reason, None if it is unknown."""
    return _OPENAI.get(finish_reason)


def from_anthropic(stop_reason: str) -> StopReason | None:
    """Return the meaning of a stop_reason, None if it is unknown."""
    return _ANTHROPIC.get(stop_reason)


def is_failure(reason: str) -> bool:
    """Whether a finish_reason or stop_reason says that the answer broke off."""
    return reason in _FAILURES


def to_openai(reason: StopReason) -> str:
    """Return the finish_reason for an OpenAI client."""
    return _TO_OPENAI[reason]


def to_anthropic(reason: StopReason) -> str:
    """Return the stop_reason for an Anthropic client."""
    return _TO_ANTHROPIC[reason]


# Looking a member up on its class costs as much as a call.
_TOOLS: Final = StopReason.TOOLS
_STOP_SEQUENCE: Final = StopReason.STOP_SEQUENCE
_REFUSAL: Final = StopReason.REFUSAL


def settled(reason: StopReason, *, tools: bool) -> StopReason:
    """
    Return the reason that the content bears out.

    Agents act on the reason alone: with a tool call in the answer it must be `TOOLS`, whatever the upstream said,
    unless the answer was cut or refused (a cut call must not run). Without one it must not be.
    """
    if tools and reason in {StopReason.END, StopReason.STOP_SEQUENCE}:
        return StopReason.TOOLS
    if not tools and reason is _TOOLS:
        return StopReason.END
    return reason


def stopped(reason: StopReason, *, tools: bool, stop_sequence: str | None = None, refusal: str | None = None) -> Finish:
    """Return the end of an answer, with the reason settled and only what belongs to that reason."""
    reason = settled(reason, tools=tools)
    return Finish(
        reason,
        stop_sequence if reason is _STOP_SEQUENCE else None,
        refusal if reason is _REFUSAL else None,
    )
