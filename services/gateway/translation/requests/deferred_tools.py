"""
Deferred tools, for an upstream in Anthropic's format that does not know what they are.

Claude Code gives only the names of most tools. For those that the model asks for it answers with `tool_reference`
blocks, and sends them from then on with `defer_loading`; Anthropic's servers put the definitions where the references
stand. Elsewhere a model may read a reference as "nothing was found" (zai-org/GLM-5#76). So every tool is offered like
any other, and a reference says in words that the tool is there, as on the way to OpenAI's format (translation.md A2).
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_list, decode_members, raw
from services.gateway.translation.requests.recent import Recent
from services.gateway.wire.formats import ANTHROPIC
from services.gateway.wire.outline import Members, Outline

_DEFERRED: Final = b'"defer_loading"'
_REFERENCE: Final = b'"tool_reference"'
_IS_REFERENCE: Final = msgspec.Raw(_REFERENCE)
_IS_RESULT: Final = msgspec.Raw(b'"tool_result"')
_IS_TEXT: Final = msgspec.Raw(b'"text"')

Change: TypeAlias = Callable[[Members], Members]

_decode_tools: Final = msgspec.json.Decoder(list[Members]).decode

_TOOLS: Final = Recent[msgspec.Raw | None]()  # agents send the same ones with every request


def available(name: str) -> str:
    """Say what a reference to a tool means."""
    return f"Tool {name} is now available."


def undeferred(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body with every tool offered at once; None where none is deferred. Raises what msgspec raises."""
    members = outline.members
    given = members.get("tools")
    if given is None or dialect.deferred_tools:
        return None
    tools = _TOOLS.recalled(given, (), _offered)
    if tools is None:
        return None
    changed = {**members, "tools": tools}
    if "messages" in members:
        changed["messages"] = _each(members["messages"], _told)
    return adapted(changed, ANTHROPIC, "tools.defer_loading")


def _offered(tools: msgspec.Raw) -> msgspec.Raw | None:
    """Return the tools without the mark that defers some; None where none has it."""
    if _DEFERRED not in bytes(tools):
        return None
    offered = [
        {name: value for name, value in tool.items() if name != "defer_loading"} for tool in _decode_tools(tools)
    ]
    return raw(offered)


def _told(message: Members) -> Members:
    """Return a message whose tool results tell of tools in words."""
    return _with_content(message, _told_result)


def _told_result(block: Members) -> Members:
    return _with_content(block, _told_reference) if block.get("type") == _IS_RESULT else block


def _told_reference(block: Members) -> Members:
    if block.get("type") != _IS_REFERENCE or "tool_name" not in block:
        return block
    told = available(msgspec.json.decode(block["tool_name"], type=str))
    rest = {name: value for name, value in block.items() if name not in {"type", "tool_name"}}
    return {"type": _IS_TEXT, "text": raw(told), **rest}


def _with_content(members: Members, change: Change) -> Members:
    content = members.get("content")
    return members if content is None else {**members, "content": _each(content, change)}


def _each(items: msgspec.Raw, change: Change) -> msgspec.Raw:
    """Return a list with those of its objects changed that speak of references; the others stay as they came."""
    given = bytes(items)
    if given[:1] != b"[" or _REFERENCE not in given:
        return items
    return raw([_changed(item, change) for item in decode_list(given)])


def _changed(item: msgspec.Raw, change: Change) -> msgspec.Raw:
    given = bytes(item)
    if given[:1] != b"{" or _REFERENCE not in given:
        return item
    return raw(change(decode_members(given)))
