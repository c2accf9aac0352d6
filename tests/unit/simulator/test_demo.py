"""What the demo says."""

import json

import pytest

from services.simulator import demo
from services.simulator.agent import Call
from services.simulator.conversation import Conversation, read
from services.simulator.wire import Wire


def _asked(prompt: str, *results: dict[str, object]) -> Conversation:
    messages: list[dict[str, object]] = [{"role": "user", "content": prompt}]
    if results:
        uses = [{"type": "tool_use", "id": entry["tool_use_id"], "name": "Bash", "input": {}} for entry in results]
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": list(results)}]
    return read(Wire.ANTHROPIC, json.dumps({"model": "m", "max_tokens": 99, "messages": messages}).encode())


def _result(text: str, **fields: object) -> dict[str, object]:
    return {"type": "tool_result", "tool_use_id": "c1", "content": text} | fields


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("what is 6*7?", "6 * 7 = 42."),
        ("12 - 20", "12 - 20 = -8."),
        ("3 x 4", "= 12."),
        ("7/2", "= 3.5."),
        ("1/0", "divided by 0"),
        ("count to 5", "1, 2, 3, 4, 5."),
        ("Hello there", "Hello!"),
        ("write a haiku", "No model is here"),
        ("a python function, please", "def greet"),
        ("why is the sky blue?", "A real model would"),
    ],
)
def test_a_rule_answers_and_every_answer_says_that_it_is_simulated(prompt: str, part: str) -> None:
    said = demo.text(_asked(prompt), None)

    assert said.startswith("(simulated answer)")
    assert part in said.replace(prompt, "", 1) or part in said
    assert prompt in said


def test_a_long_question_is_repeated_in_short() -> None:
    assert "x" * 79 + "\u2026" in demo.text(_asked("x" * 500), None)


def test_a_tool_call_is_announced() -> None:
    assert "tool Bash" in demo.text(_asked("list files"), Call("Bash", {}))


@pytest.mark.parametrize(
    ("result", "part"),
    [
        (_result("a.py\n\nb.py\n"), "The tool Bash returned 2 lines: a.py | b.py."),
        (_result("a.py"), "returned 1 line: a.py."),
        (_result(""), "returned nothing"),
        (_result("no such file", is_error=True), "failed and says: no such file."),
    ],
)
def test_tool_results_are_summed_up(result: dict[str, object], part: str) -> None:
    said = demo.text(_asked("list files", result), None)

    assert said.startswith(demo.MARK)
    assert part in said


def test_every_one_of_several_results_is_summed_up() -> None:
    said = demo.text(_asked("list files", _result("first"), _result("second", tool_use_id="c2")), None)

    assert "first" in said
    assert "second" in said


def test_the_reasoning_fits_the_turn() -> None:
    plain = demo.reasoning(_asked("hi"), None)
    calling = demo.reasoning(_asked("hi"), Call("Bash", {}))
    summing = demo.reasoning(_asked("hi", _result("x")), None)

    assert len({plain, calling, summing}) == 3
    assert all(text.startswith("(simulated reasoning)") for text in (plain, calling, summing))
