"""A model that always thinks is asked for no more than it takes, in a body of the upstream's own format."""

import json
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.translation.requests.adapted import Adapted
from services.gateway.translation.requests.constant_thinking import chat_thinking, messages_thinking
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import outline_of

_FIELDS: dict[str, Any] = {
    "efforts": ("low", "high", "max"),
    "strict_efforts": True,
    "thinking_can_be_disabled": False,
}
CHAT = msgspec.structs.replace(GLM_OPENAI, **_FIELDS)
MESSAGES = msgspec.structs.replace(GLM_ANTHROPIC, **_FIELDS)


def _settled(dialect: Dialect, body: bytes) -> Adapted | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body)
    settle = chat_thinking if dialect.user_field == GLM_OPENAI.user_field else messages_thinking
    try:
        return None if outline is None else settle(outline, dialect)
    except BROKEN:
        return None


def _changed(dialect: Dialect, **given: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    found = _settled(dialect, json.dumps({"model": "m", **given}).encode())
    assert found is not None
    changed: dict[str, Any] = json.loads(found.outline.body)
    assert changed.pop("model") == "m"
    return changed, found.dropped


@pytest.mark.parametrize(
    ("given", "expected", "dropped"),
    [
        ({"thinking": {"type": "disabled"}}, ({"type": "enabled"}, "low"), ("thinking",)),
        (
            {"thinking": {"type": "disabled", "clear_thinking": False}, "reasoning_effort": "low"},
            ({"type": "enabled", "clear_thinking": False}, "low"),
            ("thinking",),
        ),
        (
            {"thinking": {"type": "disabled"}, "reasoning_effort": "max"},
            ({"type": "enabled"}, "low"),
            ("thinking", "reasoning_effort=low"),
        ),
        ({"reasoning_effort": "none"}, (None, "low"), ("reasoning_effort=low",)),
        ({"reasoning_effort": "medium"}, (None, "high"), ("reasoning_effort=high",)),
        (
            {"thinking": {"type": "enabled"}, "reasoning_effort": "xhigh"},
            ({"type": "enabled"}, "max"),
            ("reasoning_effort=max",),
        ),
    ],
)
def test_openais_format(given: dict[str, Any], expected: tuple[Any, str], dropped: tuple[str, ...]) -> None:
    changed, lost = _changed(CHAT, **given)

    assert (changed.get("thinking"), changed["reasoning_effort"]) == expected
    assert lost == dropped


@pytest.mark.parametrize(
    ("given", "expected", "dropped"),
    [
        ({"thinking": {"type": "disabled"}}, ({"type": "enabled"}, {"effort": "low"}), ("thinking",)),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "medium", "format": {}}},
            ({"type": "enabled"}, {"effort": "low", "format": {}}),
            ("thinking", "output_config.effort=low"),
        ),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "medium"}},
            ({"type": "adaptive", "display": "omitted"}, {"effort": "high"}),
            ("output_config.effort=high",),
        ),
        ({"output_config": {"effort": "xhigh"}}, (None, {"effort": "max"}), ("output_config.effort=max",)),
    ],
)
def test_anthropics_format(given: dict[str, Any], expected: tuple[Any, Any], dropped: tuple[str, ...]) -> None:
    changed, lost = _changed(MESSAGES, **given)

    assert (changed.get("thinking"), changed["output_config"]) == expected
    assert lost == dropped


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES])
def test_thinking_stays_on_where_no_effort_is_known(dialect: Dialect) -> None:
    changed, dropped = _changed(msgspec.structs.replace(dialect, efforts=()), thinking={"type": "disabled"})

    assert (changed, dropped) == ({"thinking": {"type": "enabled"}}, ("thinking",))


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"thinking":null,"reasoning_effort":null,"output_config":null}',
        b'{"thinking":{"type":"adaptive"},"reasoning_effort":"high","output_config":{"effort":"max"}}',
        b'{"reasoning_effort":"ultra","output_config":{"effort":"ultra"}}',
        b'{"output_config":{"effort":null,"format":{}}}',
        b'{"thinking":"disabled"}',
        b'{"thinking":{"type":["disabled"]},"reasoning_effort":5,"output_config":{"effort":5}}',
        b'["disabled"]',
    ],
)
def test_nothing_is_done_where_nothing_must_change_or_the_shape_is_another(dialect: Dialect, body: bytes) -> None:
    assert _settled(dialect, body) is None


@pytest.mark.parametrize("dialect", [GLM_OPENAI, GLM_ANTHROPIC])
def test_other_models_are_asked_as_the_client_asks(dialect: Dialect) -> None:
    asked = {"thinking": {"type": "disabled"}, "reasoning_effort": "xhigh", "output_config": {"effort": "xhigh"}}

    assert _settled(dialect, json.dumps(asked).encode()) is None
