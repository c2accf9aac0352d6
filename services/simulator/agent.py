"""
Decides, by a few rules, whether the demo calls one of the client's tools, and with which arguments. Pure.

It calls at most one tool per question and none once results are there, so that no agent can be kept in a loop.
"""

import re
from typing import Final

import msgspec

from services.simulator.arguments import Hints, fill, path_in
from services.simulator.conversation import Conversation, Json, Tool

_SHELLS: Final = (
    "bash",
    "shell",
    "run_shell_command",
    "run_commands",
    "execute_command",
    "terminal",
    "exec",
    "exec_command",
)
_LISTERS: Final = ("ls", "list", "list_directory", "list_files", "list_dir", "glob")
_READERS: Final = ("read", "read_file", "read_files", "view", "cat")
_SEARCHERS: Final = ("grep", "search_file_content", "grep_search", "search_files", "search_codebase", "search")
_FETCHERS: Final = ("webfetch", "web_fetch", "fetch_web_content", "fetch")
_WRITERS: Final = ("write", "write_file", "create_file")

# What the user asks for -> the tools that can do it, best first.
_INTENTS: Final = (
    (
        re.compile(r"\b(?:list|show|what)\b.*\b(?:files|director(?:y|ies)|folders?)\b", re.IGNORECASE | re.DOTALL),
        _SHELLS + _LISTERS,
    ),
    (re.compile(r"\b(?:run|execute)\b", re.IGNORECASE), _SHELLS),
    (re.compile(r"\bhttps?://", re.IGNORECASE), _FETCHERS),
)
_FILE_INTENTS: Final = (
    (re.compile(r"\b(?:write|create)\b", re.IGNORECASE), _WRITERS),
    (re.compile(r"\b(?:read|open|show|cat|print|look at|summari[sz]e)\b", re.IGNORECASE), _READERS),
)
_SEARCH: Final = re.compile(r"\b(?:grep|search|find)\b", re.IGNORECASE)

# Words in a tool's name that say nothing about what it is for.
_VERBS: Final = frozenset(
    (
        "get",
        "set",
        "list",
        "create",
        "run",
        "fetch",
        "search",
        "find",
        "read",
        "write",
        "make",
        "call",
        "tool",
        "current",
    )
)
_PARTS: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# With more tools than this the client is an agent, whose tools are named after everyday words.
_FEW_TOOLS: Final = 8


class Call(msgspec.Struct, frozen=True):
    """A tool to call."""

    name: str
    arguments: Json


def choose(conversation: Conversation) -> Call | None:
    """Return the call the demo makes, or None."""
    if not conversation.tools or conversation.results or conversation.tool_choice == "none":
        return None
    tool = _forced(conversation) or _wanted(conversation.prompt, conversation.tools)
    if tool is None:
        return None
    return Call(tool.name, fill(tool.schema, Hints.of(conversation)))


def _forced(conversation: Conversation) -> Tool | None:
    choice = conversation.tool_choice
    if choice.startswith("="):
        return next((tool for tool in conversation.tools if tool.name == choice[1:]), None)
    if choice == "any":
        return _wanted(conversation.prompt, conversation.tools) or conversation.tools[0]
    return None


def _wanted(prompt: str, tools: tuple[Tool, ...]) -> Tool | None:
    return _named(prompt, tools) or _by_intent(prompt, tools) or _by_topic(prompt, tools)


def _named(prompt: str, tools: tuple[Tool, ...]) -> Tool | None:
    """Find a tool the prompt names: a name that is no everyday word, or one that is called a tool."""
    for tool in tools:
        name = re.escape(tool.name)
        everyday = tool.name.isalpha() and len(_PARTS.findall(tool.name)) < 2
        pattern = rf"\b(?:use|call|with)\s+(?:the\s+)?`?{name}\b|\b{name}`?\s+tool\b|`{name}`"
        if not everyday:
            pattern += rf"|(?<![\w]){name}(?![\w])"
        if re.search(pattern, prompt, re.IGNORECASE if everyday else 0):
            return tool
    return None


def _by_intent(prompt: str, tools: tuple[Tool, ...]) -> Tool | None:
    intents = list(_INTENTS)
    if path_in(prompt):
        intents += _FILE_INTENTS
    elif re.search(r"[\"`\u201c]", prompt):
        intents.append((_SEARCH, _SEARCHERS))
    by_name = {tool.name.lower(): tool for tool in reversed(tools)}
    for pattern, names in intents:
        if pattern.search(prompt):
            for name in names:
                if name in by_name:
                    return by_name[name]
    return None


def _by_topic(prompt: str, tools: tuple[Tool, ...]) -> Tool | None:
    """Find a tool whose name shares a telling word with the prompt, such as get_weather and "weather"."""
    if len(tools) > _FEW_TOOLS:
        return None
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    for tool in tools:
        parts = {part.lower() for part in _PARTS.findall(tool.name)} - _VERBS
        if any(len(part) > 3 and part in words for part in parts):
            return tool
    return None
