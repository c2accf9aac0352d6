"""
A choice of tools for an upstream that takes no other one than `auto`, in a body that is in its format already.

Z.AI answers every other one with 400, "Tool choice must be auto", and glm-4.6 hangs on it; LangChain and others force a
tool to get a shape (translation.md A5). As in translation: a tool that is named is the only one offered, which models
then call; that any tool must be called is said in words; where none may be, none is offered.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, ToolChoice
from services.gateway.translation.requests.adapted import Adapted, adapted, raw, with_words
from services.gateway.wire.formats import ANTHROPIC, OPENAI, WireFormat
from services.gateway.wire.outline import Members, Outline

CALL_A_TOOL: Final = "Answer by calling one of the tools; do not answer with text alone."

_AUTO: Final = frozenset({b'"auto"', b'{"type":"auto"}', b"null"})
_WORDS: Final = {b'"none"': "none", b'"required"': "any"}
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _Function(msgspec.Struct, gc=False):
    name: str


class _Tool(msgspec.Struct, gc=False):
    """A tool of either format, or the choice of one."""

    type: str | None = None
    name: str | None = None
    function: _Function | None = None
    mode: str = "auto"
    tools: "list[_Tool] | None" = None
    allowed_tools: "_Tool | None" = None

    @property
    def called(self) -> str | None:
        return self.name if self.function is None else self.function.name


_decode_tool: Final = msgspec.json.Decoder(_Tool).decode


def chat_unforced(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of OpenAI's whose choice is `auto`; None where it is already. Raises what msgspec raises."""
    members = outline.members
    given = members.get("tool_choice")
    if given is None or dialect.tool_choice is ToolChoice.FULL or bytes(given) in _AUTO:
        return None
    if bytes(given) in _WORDS:
        return _by_mode(members, OPENAI, _WORDS[bytes(given)])
    choice = _decode_tool(given)
    if choice.type == "function" and choice.called is not None:
        return _only(members, OPENAI, {choice.called})
    allowed = choice.allowed_tools
    if choice.type != "allowed_tools" or allowed is None or allowed.tools is None:
        return None
    changed = _only(members, OPENAI, {tool.called for tool in allowed.tools})
    if changed is None or allowed.mode != "required":
        return changed
    return _by_mode(changed.outline.members, OPENAI, "any")


def messages_unforced(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of Anthropic's whose choice is `auto`; None where it is already. Raises what msgspec raises."""
    given = outline.members.get("tool_choice")
    if given is None or dialect.tool_choice is ToolChoice.FULL or bytes(given) in _AUTO:
        return None
    choice = _decode_tool(given)
    if choice.type == "tool" and choice.name is not None:
        return _only(outline.members, ANTHROPIC, {choice.name})
    return _by_mode(outline.members, ANTHROPIC, choice.type) if choice.type in {"any", "none"} else None


def _by_mode(members: Members, upstream: WireFormat, mode: str) -> Adapted:
    if mode == "none":
        rest = {name: value for name, value in members.items() if name not in {"tools", "tool_choice"}}
        return adapted(rest, upstream, "tool_choice")
    changed = with_words(members, upstream, CALL_A_TOOL)
    return adapted({**changed, "tool_choice": _auto(upstream)}, upstream, "tool_choice=auto")


def _only(members: Members, upstream: WireFormat, names: set[str | None]) -> Adapted | None:
    """Offer these tools alone; None where one is not there, which the upstream is to say."""
    tools = {_decode_tool(tool).called: tool for tool in _decode_list(members.get("tools", b"[]"))}
    if not names <= tools.keys():
        return None
    kept = [tool for name, tool in tools.items() if name in names]
    return adapted({**members, "tools": raw(kept), "tool_choice": _auto(upstream)}, upstream, "tool_choice=auto")


def _auto(upstream: WireFormat) -> msgspec.Raw:
    auto: Any = "auto" if upstream is OPENAI else {"type": "auto"}
    return raw(auto)
