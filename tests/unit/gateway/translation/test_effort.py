"""The effort tables of translation.md A8.2, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect, Thinking
from services.gateway.translation.effort import (
    ANTHROPIC_EFFORTS,
    SCALE,
    AnthropicThinking,
    OpenAIThinking,
    nearest,
    to_anthropic_thinking,
    to_openai_thinking,
)
from services.gateway.translation.refusal import TranslationError

GLM_52 = Dialect(thinking=Thinking.GLM, efforts=("low", "medium", "high", "xhigh", "max"))
GLM_53 = Dialect(thinking=Thinking.GLM, efforts=("low", "high", "max"), thinking_can_be_disabled=False)
PLAIN = Dialect(thinking=Thinking.EFFORT, efforts=("low", "medium", "high"))
FULL = Dialect(thinking=Thinking.EFFORT, efforts=SCALE)
BUDGET = Dialect(thinking=Thinking.BUDGET, efforts=())
SILENT = Dialect(thinking=Thinking.NONE)


def ask(
    dialect: Dialect, thinking: str | None = None, budget: int | None = None, effort: str | None = None
) -> OpenAIThinking:
    return to_openai_thinking(dialect, thinking=thinking, budget_tokens=budget, effort=effort, max_tokens=100_000)


def test_b38_nearest_effort_prefers_the_stronger_of_two_equally_near() -> None:
    moved = [nearest(word, GLM_53.efforts) for word in ANTHROPIC_EFFORTS]

    assert moved == ["low", "high", "high", "max", "max"]


def test_nearest_of_nothing_is_none() -> None:
    assert nearest("low", ()) is None
    assert nearest("low", ("turbo",)) is None


@pytest.mark.parametrize(
    ("dialect", "thinking", "budget", "effort", "expected"),
    [
        (GLM_52, None, None, None, OpenAIThinking()),
        (PLAIN, None, None, None, OpenAIThinking()),
        (SILENT, None, None, None, OpenAIThinking()),
        # disabled
        (GLM_52, "disabled", None, None, OpenAIThinking(thinking="disabled")),
        (GLM_52, "disabled", None, "high", OpenAIThinking(thinking="disabled", dropped=("output_config.effort",))),
        (GLM_53, "disabled", None, None, OpenAIThinking(reasoning_effort="low", dropped=("thinking",))),
        (
            GLM_53,
            "disabled",
            None,
            "max",
            OpenAIThinking(reasoning_effort="low", dropped=("thinking", "output_config.effort=low")),
        ),
        (FULL, "disabled", None, None, OpenAIThinking(reasoning_effort="none")),
        (
            Dialect(thinking=Thinking.EFFORT, efforts=("minimal", "low")),
            "disabled",
            None,
            None,
            OpenAIThinking(reasoning_effort="minimal"),
        ),
        (PLAIN, "disabled", None, None, OpenAIThinking(reasoning_effort="low", dropped=("thinking",))),
        # enabled with a budget
        (GLM_OPENAI, "enabled", 4000, None, OpenAIThinking(thinking="enabled")),
        (GLM_52, "enabled", 2048, None, OpenAIThinking(thinking="enabled", reasoning_effort="low")),
        (GLM_52, "enabled", 8192, None, OpenAIThinking(thinking="enabled", reasoning_effort="medium")),
        (GLM_52, "enabled", 16384, None, OpenAIThinking(thinking="enabled", reasoning_effort="high")),
        (GLM_52, "enabled", 16385, None, OpenAIThinking(thinking="enabled", reasoning_effort="xhigh")),
        (GLM_53, "enabled", 16385, None, OpenAIThinking(thinking="enabled", reasoning_effort="max")),
        (PLAIN, "enabled", 2048, None, OpenAIThinking(reasoning_effort="low")),
        (PLAIN, "enabled", 50_000, None, OpenAIThinking(reasoning_effort="high")),
        (Dialect(thinking=Thinking.EFFORT, efforts=()), "enabled", 2048, None, OpenAIThinking(dropped=("thinking",))),
        # adaptive and between_tools
        (GLM_52, "adaptive", None, None, OpenAIThinking(thinking="enabled")),
        (GLM_52, "between_tools", None, None, OpenAIThinking(thinking="enabled")),
        (PLAIN, "adaptive", None, None, OpenAIThinking()),
        # a stated effort wins over the bucket
        (GLM_52, "enabled", 2048, "max", OpenAIThinking(thinking="enabled", reasoning_effort="max")),
        (GLM_52, None, None, "medium", OpenAIThinking(reasoning_effort="medium")),
        (
            GLM_53,
            "adaptive",
            None,
            "medium",
            OpenAIThinking(thinking="enabled", reasoning_effort="high", dropped=("output_config.effort=high",)),
        ),
        (
            GLM_OPENAI,
            "adaptive",
            None,
            "high",
            OpenAIThinking(thinking="enabled", dropped=("output_config.effort",)),
        ),
        (PLAIN, None, None, "max", OpenAIThinking(reasoning_effort="high", dropped=("output_config.effort=high",))),
        # routes that cannot be told
        (SILENT, "adaptive", None, "high", OpenAIThinking(dropped=("thinking", "output_config.effort"))),
        (BUDGET, "disabled", None, None, OpenAIThinking(dropped=("thinking",))),
    ],
)
def test_anthropic_thinking_on_the_openai_wire(
    dialect: Dialect, thinking: str | None, budget: int | None, effort: str | None, expected: OpenAIThinking
) -> None:
    assert ask(dialect, thinking, budget, effort) == expected


@pytest.mark.parametrize(
    ("thinking", "budget", "effort", "param"),
    [
        ("enabled", None, None, "thinking.budget_tokens"),
        ("enabled", 500, None, "thinking.budget_tokens"),
        ("enabled", 4096, None, "thinking.budget_tokens"),
        ("sometimes", None, None, "thinking.type"),
        (None, None, "minimal", "output_config.effort"),
    ],
)
def test_b37_values_that_anthropic_refuses_are_refused(
    thinking: str | None, budget: int | None, effort: str | None, param: str
) -> None:
    with pytest.raises(TranslationError) as caught:
        to_openai_thinking(GLM_OPENAI, thinking=thinking, budget_tokens=budget, effort=effort, max_tokens=4096)

    assert caught.value.param == param
    assert caught.value.message.startswith(param)


def test_b37_an_interleaved_budget_may_exceed_max_tokens() -> None:
    told = to_openai_thinking(GLM_OPENAI, thinking="enabled", budget_tokens=32_000, effort=None, max_tokens=None)

    assert told.thinking == "enabled"


@pytest.mark.parametrize(
    ("dialect", "effort", "expected"),
    [
        (GLM_ANTHROPIC, None, AnthropicThinking()),
        (GLM_ANTHROPIC, "none", AnthropicThinking(thinking="disabled")),
        (
            GLM_ANTHROPIC,
            "minimal",
            AnthropicThinking(thinking="enabled", effort="low", dropped=("reasoning_effort=low",)),
        ),
        (GLM_ANTHROPIC, "low", AnthropicThinking(thinking="enabled", effort="low")),
        (GLM_ANTHROPIC, "medium", AnthropicThinking(thinking="enabled", effort="medium")),
        (GLM_ANTHROPIC, "high", AnthropicThinking(thinking="enabled", effort="high")),
        (
            GLM_ANTHROPIC,
            "xhigh",
            AnthropicThinking(thinking="enabled", effort="max", dropped=("reasoning_effort=max",)),
        ),
        (GLM_ANTHROPIC, "max", AnthropicThinking(thinking="enabled", effort="max")),
        (GLM_53, "none", AnthropicThinking(thinking="enabled", effort="low", dropped=("reasoning_effort=low",))),
        (GLM_53, "medium", AnthropicThinking(thinking="enabled", effort="high", dropped=("reasoning_effort=high",))),
        (GLM_OPENAI, "high", AnthropicThinking(thinking="enabled", dropped=("reasoning_effort",))),
        (FULL, "none", AnthropicThinking(thinking="disabled")),
        (FULL, "xhigh", AnthropicThinking(thinking="adaptive", effort="xhigh")),
        (SILENT, "high", AnthropicThinking(dropped=("reasoning_effort",))),
        (BUDGET, "none", AnthropicThinking(thinking="disabled")),
        (BUDGET, "minimal", AnthropicThinking(thinking="enabled", budget_tokens=1024)),
        (BUDGET, "low", AnthropicThinking(thinking="enabled", budget_tokens=1024)),
        (BUDGET, "medium", AnthropicThinking(thinking="enabled", budget_tokens=4096)),
        (BUDGET, "high", AnthropicThinking(thinking="enabled", budget_tokens=16384)),
        (BUDGET, "xhigh", AnthropicThinking(thinking="enabled", budget_tokens=32000)),
        (BUDGET, "max", AnthropicThinking(thinking="enabled", budget_tokens=32000)),
        (
            Dialect(thinking=Thinking.BUDGET, thinking_can_be_disabled=False),
            "none",
            AnthropicThinking(thinking="enabled", budget_tokens=1024, dropped=("reasoning_effort",)),
        ),
    ],
)
def test_openai_effort_on_the_anthropic_wire(dialect: Dialect, effort: str | None, expected: AnthropicThinking) -> None:
    assert to_anthropic_thinking(dialect, effort=effort, max_tokens=64_000) == expected


def test_b116_a_budget_stays_below_max_tokens_and_says_so() -> None:
    assert to_anthropic_thinking(BUDGET, effort="high", max_tokens=3000) == AnthropicThinking(
        thinking="enabled", budget_tokens=2999, dropped=("thinking.budget_tokens=2999",)
    )


def test_b116_no_room_for_a_budget_turns_thinking_off_and_says_so() -> None:
    assert to_anthropic_thinking(BUDGET, effort="high", max_tokens=1000) == AnthropicThinking(
        thinking="disabled", dropped=("reasoning_effort",)
    )


def test_an_unknown_effort_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TranslationError, match="none, minimal, low, medium, high, xhigh, max") as caught:
        to_anthropic_thinking(GLM_ANTHROPIC, effort="turbo", max_tokens=1, param="reasoning.effort")

    assert caught.value.param == "reasoning.effort"


@given(st.sampled_from([GLM_52, GLM_53, PLAIN, FULL, BUDGET, SILENT]), st.sampled_from(SCALE), st.integers(1, 100_000))
def test_b116_every_budget_is_one_that_anthropic_accepts(dialect: Dialect, effort: str, max_tokens: int) -> None:
    out = to_anthropic_thinking(dialect, effort=effort, max_tokens=max_tokens)

    assert out.budget_tokens is None or 1024 <= out.budget_tokens < max_tokens
    assert out.effort is None or out.effort in dialect.efforts
