"""When the demo calls a tool, and which."""

import json

import pytest

from services.simulator import agent
from services.simulator.conversation import Conversation, read
from services.simulator.wire import Wire

_AGENT_TOOLS = ("Task", "Bash", "Glob", "Grep", "Read", "Edit", "Write", "WebFetch", "WebSearch", "TodoWrite")
_CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def _asked(prompt: str, *names: str, **fields: object) -> Conversation:
    tools = [{"type": "function", "function": {"name": name, "parameters": _CITY}} for name in names]
    request = {"model": "m", "messages": [{"role": "user", "content": prompt}], "tools": tools} | fields
    return read(Wire.OPENAI, json.dumps(request).encode())


def _chosen(prompt: str, *names: str, **fields: object) -> str | None:
    call = agent.choose(_asked(prompt, *names, **fields))
    return None if call is None else call.name


@pytest.mark.parametrize(
    ("prompt", "tool"),
    [
        ("list files in this directory", "Bash"),
        ("Run `git status`", "Bash"),
        ("Please read services/app.py", "Read"),
        ("What does README say? Show it.", "Read"),
        ("write a greeting to hello.txt", "Write"),
        ("fetch https://example.com/ and sum it up", "WebFetch"),
        ('search for "TODO"', "Grep"),
        ("use the Task tool", "Task"),
        ("call Glob", "Glob"),
        ("I want TodoWrite", "TodoWrite"),
        ("write a poem about the task of reading", None),
        ("hello", None),
        ("what is 2 + 2?", None),
    ],
)
def test_an_agents_tools_are_chosen_by_what_is_asked(prompt: str, tool: str | None) -> None:
    assert tool == _chosen(prompt, *_AGENT_TOOLS)


def test_other_agents_names_are_known_too() -> None:
    assert _chosen("list files", "list_directory", "run_shell_command") == "run_shell_command"
    assert _chosen("list files", "list_directory") == "list_directory"
    assert _chosen("read src/a.py", "read_file") == "read_file"


def test_a_persons_own_tool_is_called_for_its_topic() -> None:
    call = agent.choose(_asked("What is the weather in Berlin?", "get_time", "get_weather"))

    assert call == agent.Call("get_weather", {"city": "Berlin"})


def test_a_topic_does_not_reach_into_an_agents_many_tools() -> None:
    assert _chosen("this task is about glob", *_AGENT_TOOLS) is None


def _forced(prompt: str, *names: str, **choice: str) -> str | None:
    """The same in Anthropic's format; OpenAI's takes no choice but auto."""
    tools = [{"name": name, "input_schema": _CITY} for name in names]
    messages = [{"role": "user", "content": prompt}]
    request = {"model": "m", "max_tokens": 9, "messages": messages, "tools": tools, "tool_choice": choice}
    call = agent.choose(read(Wire.ANTHROPIC, json.dumps(request).encode()))
    return None if call is None else call.name


def test_no_tool_is_called_without_tools_or_when_told_not_to() -> None:
    assert _chosen("list files") is None
    assert _forced("list files", "bash", type="none") is None


def test_a_forced_tool_is_called() -> None:
    assert _forced("hello", "a", "b", type="any") == "a"
    assert _forced("use the b tool", "a", "b", type="any") == "b"
    assert _forced("hello", "a", "b", type="tool", name="b") == "b"
    assert _forced("hello", "a", type="tool", name="z") is None


def test_no_tool_is_called_once_results_are_there() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "list files"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "a.py"},
    ]

    assert _chosen("", "bash", messages=messages) is None
