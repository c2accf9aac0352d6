"""
What the simulator says to a person who tries the gateway without an account.

Plain rules, no model: it says so in its first words, repeats the question in short, and answers what a rule can. Pure.
"""

import operator
import re
from collections.abc import Callable
from typing import Final

from services.simulator.agent import Call
from services.simulator.conversation import Conversation, ToolResult

MARK: Final = "(simulated answer)"

_SUM: Final = re.compile(r"(-?\d{1,9})\s*([-+*/\u00d7x])\s*(\d{1,9})")
_OPERATORS: Final[dict[str, Callable[[int, int], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "\u00d7": operator.mul,
    "/": operator.truediv,
}
_COUNT: Final = re.compile(r"\bcount (?:from 1 )?to (\d{1,3})\b", re.IGNORECASE)
_GREETING: Final = re.compile(r"\s*(?:hi|hello|hey|good (?:morning|evening|day)|hallo|\u4f60\u597d)\b", re.IGNORECASE)
_POEM: Final = re.compile(r"\b(?:poem|haiku|verse)\b", re.IGNORECASE)
_CODE: Final = re.compile(r"\b(?:code|function|python|script|program)\b", re.IGNORECASE)

_HAIKU: Final = "No model is here.\nOnly rules that count the words,\nsent one at a time."
_PYTHON: Final = '```python\ndef greet(name: str) -> str:\n    return f"Hello, {name}, from a simulation."\n```'
_OTHERWISE: Final = (
    "A real model would answer it here. What you see of streaming, reasoning, tools and token counts is the same as "
    "with an account: ask to list files or to run a command in a coding agent, or declare a tool and ask for what it "
    "does, and the simulator calls it. Set an API key to leave the demo."
)


def text(conversation: Conversation, call: Call | None) -> str:
    """Return what is visibly said, with the tool call or the results in mind."""
    if conversation.results:
        return f"{MARK} {_summary(conversation.results)} That is all the simulator does with it."
    asked = f"You asked: \u201c{_short(conversation.prompt, 80)}\u201d."
    if call is not None:
        return f"{MARK} {asked} I call the tool {call.name} for that."
    return f"{MARK} This comes from the simulator, not from a model. {asked} {_reply(conversation.prompt)}"


def reasoning(conversation: Conversation, call: Call | None) -> str:
    """Return a short train of thought."""
    if conversation.results:
        return "(simulated reasoning) The tool has answered, so a summary of its result ends this."
    if call is not None:
        return f"(simulated reasoning) This can be done with the tool {call.name}, so I call it."
    return "(simulated reasoning) I am a set of rules. I repeat the question and pick the answer that fits."


def _reply(prompt: str) -> str:
    if found := _SUM.search(prompt):
        return _arithmetic(int(found[1]), found[2], int(found[3]))
    if found := _COUNT.search(prompt):
        return "Counting: " + ", ".join(str(number) for number in range(1, int(found[1]) + 1)) + "."
    if _GREETING.match(prompt):
        return "Hello! The gateway works: this text came through it word by word. " + _OTHERWISE
    if _POEM.search(prompt):
        return f"Here is one:\n\n{_HAIKU}"
    if _CODE.search(prompt):
        return f"Here is some code:\n\n{_PYTHON}"
    return _OTHERWISE


def _arithmetic(left: int, sign: str, right: int) -> str:
    if sign == "/" and right == 0:
        return "Nothing can be divided by 0."
    return f"{left} {sign} {right} = {_OPERATORS[sign](left, right):g}."


def _summary(results: tuple[ToolResult, ...]) -> str:
    return " ".join(_one_summary(result) for result in results)


def _one_summary(result: ToolResult) -> str:
    tool = f"The tool {result.name or result.id}"
    if result.failed:
        return f"{tool} failed and says: {_short(result.text, 300)}."
    lines = [line for line in result.text.split("\n") if line.strip()]
    if not lines:
        return f"{tool} ran and returned nothing."
    count = "1 line" if len(lines) == 1 else f"{len(lines)} lines"
    return f"{tool} returned {count}: {_short(' | '.join(lines), 300)}."


def _short(words: str, limit: int) -> str:
    """Return a text on one line, cut at `limit` characters."""
    line = " ".join(words.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "\u2026"
