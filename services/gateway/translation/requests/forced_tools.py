"""
A choice of tools for an upstream that takes no other one than `auto`, in a body that is in its format already.

Z.AI answers every other one with 400, "Tool choice must be auto", and glm-4.6 hangs on it; LangChain and others force a
tool to get a shape (translation.md A5). As in translation: a tool that is named is the only one offered, which models
then call; that any tool must be called is said in words; where none may be, none is offered. What else a choice says,
that one tool is to be called at a time, stays. Choices that are at fault go as they came.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect, ToolChoice
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_members, raw, with_words
from services.gateway.wire import anthropic, openai
from services.gateway.wire.formats import ANTHROPIC, OPENAI, WireFormat
from services.gateway.wire.outline import Members, Outline

CALL_A_TOOL: Final = "Answer by calling one of the tools; do not answer with text alone."

_AUTO: Final = frozenset({b'"auto"', b'{"type":"auto"}', b"null"})
_WORDS: Final = {b'"none"': "none", b'"required"': "any"}
_CHAT_AUTO: Final = msgspec.Raw(b'"auto"')

_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw] | None).decode
_decode_chat_choice: Final = msgspec.json.Decoder(openai.ToolChoice).decode
_decode_messages_choice: Final = msgspec.json.Decoder(anthropic.ToolChoice).decode
_decode_chat_tool: Final = msgspec.json.Decoder(openai.AllowedTool).decode  # as much as a choice says of a tool
_decode_messages_tool: Final = msgspec.json.Decoder(anthropic.Tool).decode


def chat_unforced(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of OpenAI's whose choice is `auto`; None where it is already. Raises what msgspec raises."""
    members = outline.members
    given = members.get("tool_choice")
    if given is None or dialect.tool_choice is ToolChoice.FULL or bytes(given) in _AUTO:
        return None
    if bytes(given) in _WORDS:
        mode = _WORDS[bytes(given)] if _offered(members) else "none"  # nobody can be made to call what is not there
        return _by_mode(members, OPENAI, mode, _CHAT_AUTO)
    choice = _decode_chat_choice(given)
    if choice.type == "function" and choice.function is not None:
        return _only(members, OPENAI, {choice.function.name}, _CHAT_AUTO)
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        return _allowed(members, choice.allowed_tools)
    return None


def messages_unforced(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of Anthropic's whose choice is `auto`; None where it is already. Raises what msgspec raises."""
    members = outline.members
    given = members.get("tool_choice")
    if given is None or dialect.tool_choice is ToolChoice.FULL or bytes(given) in _AUTO:
        return None
    choice = _decode_messages_choice(given)
    said = {name: value for name, value in decode_members(given).items() if name not in {"type", "name"}}
    auto = raw({"type": "auto", **said})
    if choice.type == "tool" and choice.name is not None:
        return _only(members, ANTHROPIC, {choice.name}, auto)
    if choice.type == "none" or (choice.type == "any" and _offered(members)):
        return _by_mode(members, ANTHROPIC, choice.type, auto)
    return None


def _allowed(members: Members, allowed: openai.AllowedTools) -> Adapted | None:
    if allowed.mode == "none":
        return _by_mode(members, OPENAI, "none", _CHAT_AUTO)
    if allowed.mode not in {"auto", "required"} or not allowed.tools:
        return None
    changed = _only(members, OPENAI, {_called(tool) for tool in allowed.tools}, _CHAT_AUTO)
    if changed is None or allowed.mode == "auto":
        return changed
    return _by_mode(changed.outline.members, OPENAI, "any", _CHAT_AUTO)


def _by_mode(members: Members, upstream: WireFormat, mode: str, auto: msgspec.Raw) -> Adapted:
    if mode == "none":
        rest = {name: value for name, value in members.items() if name not in {"tools", "tool_choice"}}
        return adapted(rest, upstream, "tool_choice")
    changed = with_words(members, upstream, CALL_A_TOOL)
    return adapted({**changed, "tool_choice": auto}, upstream, "tool_choice=auto")


def _only(members: Members, upstream: WireFormat, names: set[str | None], auto: msgspec.Raw) -> Adapted | None:
    """Offer these tools alone; None where one is not there, which the upstream is to say."""
    offered = _offered(members)
    if upstream is OPENAI:
        tools = {_called(_decode_chat_tool(tool)): tool for tool in offered}
    else:
        tools = {_decode_messages_tool(tool).name: tool for tool in offered}
    if not names <= tools.keys():
        return None
    kept = [tool for name, tool in tools.items() if name in names]
    return adapted({**members, "tools": raw(kept), "tool_choice": auto}, upstream, "tool_choice=auto")


def _offered(members: Members) -> list[msgspec.Raw]:
    return _decode_list(members.get("tools", b"[]")) or []


def _called(tool: openai.AllowedTool) -> str | None:
    return None if tool.function is None else tool.function.name
