"""
How hard the upstream is asked to think: the tables of translation.md A8.2, both ways, driven by the Dialect alone.

It decides values only; where they are written in a body is the request translators' business.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, Thinking
from services.gateway.translation.refusal import TranslationError

SCALE: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Every word for effort, weakest first; `nearest` measures distance by position."""

ANTHROPIC_EFFORTS: Final = SCALE[2:]

MIN_BUDGET: Final = 1024  # Anthropic's lower bound for thinking.budget_tokens

_WORD_BY_BUDGET: Final = ((2048, "low"), (8192, "medium"), (16384, "high"))  # up to and including; above them: xhigh
_BUDGET_BY_WORD: Final = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32000, "max": 32000}


class OpenAIThinking(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on the OpenAI wire. None: the key is left out."""

    thinking: str | None = None  # thinking.type: enabled or disabled
    reasoning_effort: str | None = None
    dropped: tuple[str, ...] = ()

    @property
    def members(self) -> dict[str, Any]:
        """The same as members of a request's body."""
        members: dict[str, Any] = {}
        if self.thinking:
            members["thinking"] = {"type": self.thinking}
        if self.reasoning_effort:
            members["reasoning_effort"] = self.reasoning_effort
        return members


class AnthropicThinking(msgspec.Struct, frozen=True, kw_only=True):
    """What goes on the Anthropic wire. None: the key is left out."""

    thinking: str | None = None  # thinking.type: adaptive, enabled or disabled
    budget_tokens: int | None = None
    effort: str | None = None  # output_config.effort
    dropped: tuple[str, ...] = ()


def nearest(word: str, accepted: tuple[str, ...]) -> str | None:
    """
    Return the accepted effort nearest to `word`, the stronger of two equally near ones; None when none is accepted.

    So a server that knows low, high and max (GLM 5.3) gets medium as high and xhigh as max.
    """
    rank = SCALE.index(word)
    known = [SCALE.index(name) for name in accepted if name in SCALE]
    if not known:
        return None
    return SCALE[min(known, key=lambda other: (abs(other - rank), -other))]


def to_openai_thinking(
    dialect: Dialect, *, thinking: str | None, budget_tokens: int | None, effort: str | None, max_tokens: int | None
) -> OpenAIThinking:
    """
    Say on the OpenAI wire what an Anthropic client asked for.

    `thinking` is its thinking.type, `effort` its output_config.effort, both None when absent; `max_tokens` bounds the
    budget, None where thinking is interleaved. Raises TranslationError for values that Anthropic itself would refuse
    (B37).
    """
    _check_anthropic(thinking, budget_tokens, effort, max_tokens)
    match dialect.thinking:
        case Thinking.GLM:
            return _glm_openai(dialect, thinking, budget_tokens, effort)
        case Thinking.EFFORT:
            return _plain_openai(dialect, thinking, budget_tokens, effort)
        case _:  # NONE; and the OpenAI wire has no budget
            asked = (("thinking", thinking), ("output_config.effort", effort))
            return OpenAIThinking(dropped=tuple(name for name, value in asked if value is not None))


def to_anthropic_thinking(
    dialect: Dialect, *, effort: str | None, max_tokens: int, param: str = "reasoning_effort"
) -> AnthropicThinking:
    """
    Say on the Anthropic wire what an OpenAI client asked for with `reasoning_effort` (or `param`).

    `max_tokens` is what the upstream is sent: a thinking budget has to stay below it. Raises TranslationError for an
    unknown word.
    """
    if effort is None:
        return AnthropicThinking()
    if effort not in SCALE:
        raise _unknown(param, effort, SCALE)
    match dialect.thinking:
        case Thinking.NONE:
            return AnthropicThinking(dropped=(param,))
        case Thinking.BUDGET:
            return _budget(dialect, effort, max_tokens, param)
        case _:  # GLM, EFFORT
            return _adaptive(dialect, effort, param)


def to_openai_effort(dialect: Dialect, *, effort: str | None) -> OpenAIThinking:
    """Say on the OpenAI wire what a Responses client asked for; `effort` is one of SCALE, None when absent."""
    if effort is None:
        return OpenAIThinking()
    off = effort == "none"
    match dialect.thinking:
        case Thinking.GLM:
            return _glm_openai(dialect, "disabled" if off else "enabled", None, None if off else effort)
        case Thinking.EFFORT:
            return _plain_openai(dialect, "disabled" if off else None, None, None if off else effort)
        case _:
            return OpenAIThinking(dropped=("output_config.effort",))


def _unknown(param: str, value: str, allowed: tuple[str, ...]) -> TranslationError:
    return TranslationError(f"{param}: {value[:64]!r} is not one of {', '.join(allowed)}", param=param)


def _check_anthropic(thinking: str | None, budget: int | None, effort: str | None, max_tokens: int | None) -> None:
    """Refuse what Anthropic refuses, so that a client meets the same rules on every route."""
    types = ("enabled", "disabled", "adaptive", "between_tools")
    if thinking is not None and thinking not in types:
        raise _unknown("thinking.type", thinking, types)
    if effort is not None and effort not in ANTHROPIC_EFFORTS:
        raise _unknown("output_config.effort", effort, ANTHROPIC_EFFORTS)
    if thinking != "enabled":
        return
    param = "thinking.budget_tokens"
    if budget is None:
        raise TranslationError(f"{param}: Field required", param=param)
    if budget < MIN_BUDGET:
        raise TranslationError(f"{param}: Input should be greater than or equal to {MIN_BUDGET}", param=param)
    if max_tokens is not None and budget >= max_tokens:
        raise TranslationError(f"{param}: must be less than max_tokens ({max_tokens})", param=param)


def _wanted(thinking: str | None, budget: int | None, effort: str | None) -> str | None:
    """Return the effort in words: the stated one, else the one that a budget amounts to."""
    if effort is not None:
        return effort
    if thinking == "enabled" and budget is not None:
        return next((word for most, word in _WORD_BY_BUDGET if budget <= most), "xhigh")
    return None


def _note(name: str, asked: str | None, given: str | None) -> tuple[str, ...]:
    """Name a hint that was lost, or the value it was changed to."""
    if asked is None or asked == given:
        return ()
    return (name,) if given is None else (f"{name}={given}",)


def _glm_openai(dialect: Dialect, thinking: str | None, budget: int | None, effort: str | None) -> OpenAIThinking:
    if thinking == "disabled":
        if dialect.thinking_can_be_disabled:
            return OpenAIThinking(thinking="disabled", dropped=_note("output_config.effort", effort, None))
        least = nearest("none", dialect.efforts)
        return OpenAIThinking(
            reasoning_effort=least,
            dropped=("thinking", *_note("output_config.effort", effort, least)),
        )
    word = _wanted(thinking, budget, effort)
    given = None if word is None else nearest(word, dialect.efforts)
    return OpenAIThinking(
        thinking=None if thinking is None else "enabled",
        reasoning_effort=given,
        dropped=_note("output_config.effort", effort, given),
    )


def _plain_openai(dialect: Dialect, thinking: str | None, budget: int | None, effort: str | None) -> OpenAIThinking:
    if thinking == "disabled":
        least = nearest("none", dialect.efforts)
        lost = () if least in {"none", "minimal"} else ("thinking",)
        return OpenAIThinking(reasoning_effort=least, dropped=(*lost, *_note("output_config.effort", effort, least)))
    word = _wanted(thinking, budget, effort)
    given = None if word is None else nearest(word, dialect.efforts)
    lost = ("thinking",) if thinking == "enabled" and given is None else ()
    return OpenAIThinking(reasoning_effort=given, dropped=(*lost, *_note("output_config.effort", effort, given)))


def _adaptive(dialect: Dialect, effort: str, param: str) -> AnthropicThinking:
    """Effort beside a thinking type. GLM knows enabled and disabled only, and no budget; Claude calls it adaptive."""
    if effort == "none" and dialect.thinking_can_be_disabled:
        return AnthropicThinking(thinking="disabled")
    given = nearest(effort, dialect.efforts)
    return AnthropicThinking(
        thinking="enabled" if dialect.thinking is Thinking.GLM else "adaptive",
        effort=given,
        dropped=_note(param, effort, given),
    )


def _budget(dialect: Dialect, effort: str, max_tokens: int, param: str) -> AnthropicThinking:
    if effort == "none" and dialect.thinking_can_be_disabled:
        return AnthropicThinking(thinking="disabled")
    if max_tokens <= MIN_BUDGET:  # no budget fits
        return AnthropicThinking(thinking="disabled", dropped=(param,))
    wanted = _BUDGET_BY_WORD.get(effort, MIN_BUDGET)
    budget = min(wanted, max_tokens - 1)
    changed = (f"thinking.budget_tokens={budget}",) if budget < wanted else ()
    lost = (param,) if effort == "none" else ()
    return AnthropicThinking(thinking="enabled", budget_tokens=budget, dropped=(*lost, *changed))
