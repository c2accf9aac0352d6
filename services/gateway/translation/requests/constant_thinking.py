"""
Thinking for models that always think, in a body that is in the upstream's format already.

GLM-5.3 answers `thinking: disabled` and every effort but low, high and max with 1210, in both formats
(farion1231/cc-switch#6737, NousResearch/hermes-agent#96222). Claude Code turns thinking off for small tasks, and medium
is what most clients ask for. As in translation: the least effort for none, else the nearest one (translation.md A8.2).
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.effort import SCALE, nearest
from services.gateway.translation.requests.adapted import Adapted, adapted, raw
from services.gateway.wire.formats import ANTHROPIC, OPENAI
from services.gateway.wire.outline import Members, Outline

_ENABLED: Final = msgspec.Raw(b'"enabled"')
_DISABLED: Final = msgspec.Raw(b'"disabled"')
_EFFORT: Final = "reasoning_effort"
_CONFIG: Final = "output_config"

_decode_members_or_none: Final = msgspec.json.Decoder(Members | None).decode
_decode_word: Final = msgspec.json.Decoder(str | None).decode


def chat_thinking(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of OpenAI's that the model takes; None where it is that already. Raises what msgspec raises."""
    members = outline.members
    thinking = _turned_off(members, dialect)
    given = members.get(_EFFORT)
    effort = _accepted(given, dialect, off=thinking is not None)
    if thinking is None and effort is None:
        return None
    changed = members if thinking is None else {**members, "thinking": thinking}
    if effort is not None:
        changed = {**changed, _EFFORT: raw(effort)}
    return adapted(changed, OPENAI, *_lost(thinking), *_noted(_EFFORT, given, effort))


def messages_thinking(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of Anthropic's that the model takes; None where it is that already. Raises what msgspec raises."""
    members = outline.members
    thinking = _turned_off(members, dialect)
    config = _object(members.get(_CONFIG))
    given = config.get("effort")
    effort = _accepted(given, dialect, off=thinking is not None)
    if thinking is None and effort is None:
        return None
    changed = members if thinking is None else {**members, "thinking": thinking}
    if effort is not None:
        changed = {**changed, _CONFIG: raw({**config, "effort": raw(effort)})}
    return adapted(changed, ANTHROPIC, *_lost(thinking), *_noted(f"{_CONFIG}.effort", given, effort))


def _turned_off(members: Members, dialect: Dialect) -> msgspec.Raw | None:
    """Return what has to stand for thinking that is turned off; None where it is not, or may be."""
    given = members.get("thinking")
    if given is None or dialect.thinking_can_be_disabled:
        return None
    thinking = _object(given)
    return raw({**thinking, "type": _ENABLED}) if thinking.get("type") == _DISABLED else None


def _accepted(given: msgspec.Raw | None, dialect: Dialect, *, off: bool) -> str | None:
    """Return the effort to ask for instead of the given one; None where that can stay."""
    word = "none" if off else None if given is None or not dialect.strict_efforts else _decode_word(given)
    return None if word not in SCALE or word in dialect.efforts else nearest(word, dialect.efforts)


def _lost(thinking: msgspec.Raw | None) -> tuple[str, ...]:
    return () if thinking is None else ("thinking",)


def _noted(name: str, given: msgspec.Raw | None, effort: str | None) -> tuple[str, ...]:
    """Name the effort that an asked one was changed to."""
    return () if given is None or effort is None or given == raw(effort) else (f"{name}={effort}",)


def _object(given: msgspec.Raw | None) -> Members:
    return {} if given is None else _decode_members_or_none(given) or {}
