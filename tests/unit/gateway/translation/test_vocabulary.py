import pytest

from services.gateway.translation import vocabulary
from services.gateway.translation.streams.events import Finish, StopReason


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
        ("sensitive", "refusal"),
        ("model_context_window_exceeded", "model_context_window_exceeded"),
    ],
)
def test_every_openai_reason_has_its_anthropic_word(finish_reason: str, stop_reason: str) -> None:
    reason = vocabulary.from_openai(finish_reason)

    assert reason is not None
    assert vocabulary.to_anthropic(reason) == stop_reason


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("sensitive", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("compaction", "stop"),
    ],
)
def test_every_anthropic_reason_has_its_openai_word(stop_reason: str, finish_reason: str) -> None:
    reason = vocabulary.from_anthropic(stop_reason)

    assert reason is not None
    assert vocabulary.to_openai(reason) == finish_reason


@pytest.mark.parametrize("reason", StopReason)
def test_every_reason_has_a_word_in_either_dialect(reason: StopReason) -> None:
    assert vocabulary.to_openai(reason)
    assert vocabulary.to_anthropic(reason)


def test_unknown_words_are_unknown_and_failures_are_no_reasons() -> None:
    assert vocabulary.from_openai("eos") is None
    assert vocabulary.from_anthropic("eos") is None
    for word in ("network_error", "error"):
        assert vocabulary.is_failure(word)
        assert vocabulary.from_openai(word) is None
        assert vocabulary.from_anthropic(word) is None
    assert not vocabulary.is_failure("stop")


@pytest.mark.parametrize(
    ("said", "with_tools", "without"),
    [
        (StopReason.END, StopReason.TOOLS, StopReason.END),
        (StopReason.STOP_SEQUENCE, StopReason.TOOLS, StopReason.STOP_SEQUENCE),
        (StopReason.TOOLS, StopReason.TOOLS, StopReason.END),
        (StopReason.LENGTH, StopReason.LENGTH, StopReason.LENGTH),
        (StopReason.REFUSAL, StopReason.REFUSAL, StopReason.REFUSAL),
        (StopReason.PAUSE, StopReason.PAUSE, StopReason.PAUSE),
        (StopReason.CONTEXT_WINDOW, StopReason.CONTEXT_WINDOW, StopReason.CONTEXT_WINDOW),
    ],
)
def test_the_content_settles_the_reason(said: StopReason, with_tools: StopReason, without: StopReason) -> None:
    assert vocabulary.settled(said, tools=True) is with_tools
    assert vocabulary.settled(said, tools=False) is without


def test_an_end_says_only_what_belongs_to_its_reason() -> None:
    def stopped(reason: StopReason, *, tools: bool = False) -> Finish:
        return vocabulary.stopped(reason, tools=tools, stop_sequence="s", refusal="r")

    assert stopped(StopReason.STOP_SEQUENCE) == Finish(StopReason.STOP_SEQUENCE, "s")
    assert stopped(StopReason.STOP_SEQUENCE, tools=True) == Finish(StopReason.TOOLS)
    assert stopped(StopReason.REFUSAL) == Finish(StopReason.REFUSAL, None, "r")
    assert stopped(StopReason.END) == Finish(StopReason.END)
