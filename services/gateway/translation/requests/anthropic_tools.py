"""Anthropic tools and tool choice as OpenAI's (translation.md A5)."""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, ToolChoice
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.depth import check_depth, too_deep
from services.gateway.translation.requests.forced_tools import CALL_A_TOOL
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.reading import read_part
from services.gateway.translation.requests.recent import Recent
from services.gateway.wire import anthropic

_ANY_OBJECT: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_TYPED: Final = (  # how schemas usually begin: those need no look inside
    b'{"type":',
    b'{"$schema":"http://json-schema.org/draft-07/schema#","type":',
    b'{"$schema":"https://json-schema.org/draft/2020-12/schema","type":',
)
_TOOLS: Final[msgspec.json.Decoder[list[anthropic.Tool] | None]] = msgspec.json.Decoder(list[anthropic.Tool] | None)
_CHOICES: Final = ("auto", "any", "tool", "none")


class _SchemaHead(msgspec.Struct, frozen=True):
    """The two keys of a schema that decide whether it lacks its type."""

    type: msgspec.Raw = anthropic.NOTHING
    properties: msgspec.Raw = anthropic.NOTHING


_SCHEMA_HEAD: Final = msgspec.json.Decoder(_SchemaHead)


class Tools(msgspec.Struct, frozen=True):
    """What the request's tools come to. `fields` are those of the upstream's body; `instruction` goes to the system."""

    fields: dict[str, Any] = {}
    instruction: str | None = None


class Ready(msgspec.Struct, frozen=True):
    """The upstream's definitions of all tools as a JSON array, and what was lost on the way."""

    written: msgspec.Raw
    dropped: tuple[str, ...]


class Offered(msgspec.Struct):
    """What a client offers, and the upstream's spelling of the names. `ready` is made when it is first asked for."""

    tools: list[anthropic.Tool]
    names: ToolNames
    ready: Ready | None = None


class RecentTools:
    """Remembers what the last few requests offered, because agents send the same tools each time."""

    def __init__(self, recent: Recent[Offered] | None = None) -> None:
        self._recent = recent or Recent[Offered]()

    def offered(self, given: msgspec.Raw, dialect: Dialect, limits: RequestLimits) -> Offered:
        """Return what `tools` offers, the same for equal ones; raises TranslationError for what cannot be offered."""
        if not given:
            return Offered([], names_of([], dialect, limits))

        def read(tools: msgspec.Raw) -> Offered:
            found = read_part(_TOOLS, tools, "tools") or []
            return Offered(found, names_of(found, dialect, limits))

        return self._recent.recalled(given, (dialect, limits), read)


def names_of(tools: list[anthropic.Tool], dialect: Dialect, limits: RequestLimits) -> ToolNames:
    """Return the spelling of the request's tool names, after checking that there are not too many and none twice."""
    most = min(limits.tools, dialect.max_tools or limits.tools)
    if len(tools) > most:
        raise TranslationError(f"tools: at most {most} tools are accepted, {len(tools)} were sent", param="tools")
    names: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.type is not None and tool.type != "custom":
            param = f"tools.{index}.type"
            kind = tool.type[:64]
            message = f"{param}: tools of type '{kind}' run on Anthropic's servers and are not available here"
            raise TranslationError(message, param=param)
        if not tool.name or tool.name in names:
            param = f"tools.{index}.name"
            message = f"Tool names must be unique, '{tool.name[:64]}' is not" if tool.name else "Field required"
            raise TranslationError(f"{param}: {message}", param=param)
        names.add(tool.name)
    return ToolNames(sorted(names), dialect.tool_name_max)


def translate_tools(
    request: anthropic.MessagesRequest,
    offered: Offered,
    dialect: Dialect,
    names: ToolNames,
    limits: RequestLimits,
    dropped: list[str],
) -> Tools:
    """Return the offered tools and the request's tool choice; what is lost is added to `dropped`."""
    tools = offered.tools
    choice = request.tool_choice
    if choice is not None:
        _check_choice(choice, tools)
    fields: dict[str, Any] = {}
    if choice is not None and choice.disable_parallel_tool_use:
        if tools and dialect.parallel_tool_calls:
            fields["parallel_tool_calls"] = False
        else:
            dropped.append("tool_choice.disable_parallel_tool_use")
    instruction = None
    if choice is not None and dialect.tool_choice is ToolChoice.FULL:
        fields["tool_choice"] = _choice(choice, names)
    elif choice is not None:
        fields["tool_choice"] = "auto"
        tools = _narrowed(tools, choice)
        instruction = CALL_A_TOOL if choice.type == "any" else None
        if choice.type in {"any", "tool"}:
            dropped.append("tool_choice=auto")
    if not tools:
        return Tools()
    if offered.ready is None or tools is not offered.tools:
        lost: list[str] = []
        body = [_tool(tool, index, dialect, names, limits, lost) for index, tool in enumerate(tools)]
        ready = Ready(msgspec.Raw(msgspec.json.encode(body)), tuple(lost))
        if tools is offered.tools:
            offered.ready = ready
    else:
        ready = offered.ready
    dropped += ready.dropped
    if dialect.tool_stream and request.stream:
        fields["tool_stream"] = True
    return Tools({"tools": ready.written, **fields}, instruction)


def _narrowed(tools: list[anthropic.Tool], choice: anthropic.ToolChoice) -> list[anthropic.Tool]:
    """Return the tools that leave an upstream which only knows auto no other choice than the client's."""
    if choice.type == "none":
        return []
    return [tool for tool in tools if tool.name == choice.name] if choice.type == "tool" else tools


def stubs(called: list[str], dialect: Dialect) -> dict[str, Any]:
    """
    Return tools for an upstream that wants a definition of every tool in the history, where the request has none.

    `called` are names in the upstream's spelling. The model is told to call none of them, where it can be told.
    """
    body = [{"type": "function", "function": {"name": name, "parameters": _ANY_OBJECT}} for name in called]
    if dialect.tool_choice is ToolChoice.FULL:
        return {"tools": body, "tool_choice": "none"}
    return {"tools": body}


def _check_choice(choice: anthropic.ToolChoice, tools: list[anthropic.Tool]) -> None:
    if choice.type not in _CHOICES:
        message = f"tool_choice.type: Input should be one of {', '.join(_CHOICES)}"
        raise TranslationError(message, param="tool_choice.type")
    if choice.type == "tool" and not choice.name:
        raise TranslationError("tool_choice.name: Field required", param="tool_choice.name")
    if choice.type == "tool" and all(tool.name != choice.name for tool in tools):
        message = f"tool_choice.name: Tool '{(choice.name or '')[:64]}' not found in provided tools"
        raise TranslationError(message, param="tool_choice.name")
    if choice.type == "any" and not tools:
        raise TranslationError("tool_choice: may only be specified while providing tools", param="tool_choice")


def _choice(choice: anthropic.ToolChoice, names: ToolNames) -> Any:
    if choice.type == "tool":
        return {"type": "function", "function": {"name": names.upstream(choice.name or "")}}
    return "required" if choice.type == "any" else choice.type


def _tool(
    tool: anthropic.Tool, index: int, dialect: Dialect, names: ToolNames, limits: RequestLimits, dropped: list[str]
) -> dict[str, Any]:
    function: dict[str, Any] = {"name": names.upstream(tool.name or "")}
    description = bytes(tool.description)
    if description.startswith(b'"'):
        function["description"] = tool.description
    elif description and description != b"null":
        param = f"tools.{index}.description"
        raise TranslationError(f"{param}: Input should be a valid string", param=param)
    function["parameters"] = _parameters(tool.input_schema, index, limits)
    if tool.strict is not None:
        if dialect.strict_tools:
            function["strict"] = tool.strict
        elif tool.strict:
            dropped.append("tools.strict")
    if tool.cache_control is not None:
        dropped.append("cache_control")
    if tool.defer_loading or tool.allowed_callers or tool.input_examples:
        _note_lost(tool, dropped)
    return {"type": "function", "function": function}


def _note_lost(tool: anthropic.Tool, dropped: list[str]) -> None:
    if tool.defer_loading:
        dropped.append("tools.defer_loading")
    if tool.allowed_callers and tool.allowed_callers != ["direct"]:
        dropped.append("tools.allowed_callers")
    if tool.input_examples:
        dropped.append("tools.input_examples")


def _parameters(schema: msgspec.Raw, index: int, limits: RequestLimits) -> msgspec.Raw:
    """Return the schema as it came; only a type that is missing at its top is put in."""
    raw = bytes(schema)
    if not raw.startswith(b"{"):
        param = f"tools.{index}.input_schema"
        what = "Input should be a valid dictionary" if raw else "Field required"
        raise TranslationError(f"{param}: {what}", param=param)
    if too_deep(raw, limits.json_depth):
        check_depth(raw, limits.json_depth, f"tools.{index}.input_schema")
    if raw.startswith(_TYPED):
        return schema
    head = _SCHEMA_HEAD.decode(raw)
    if head.type or (not head.properties and raw[1:-1].strip()):
        # A combinator at the top is the upstream's to accept or refuse.
        return schema
    if head.properties:
        return msgspec.Raw(b'{"type":"object",' + raw[1:])
    return _ANY_OBJECT
