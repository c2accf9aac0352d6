"""
An OpenAI client's tool definitions for an Anthropic upstream (translation.md A5).

Schemas travel as the bytes they came in; only a missing `type` is added.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.reading import read_part
from services.gateway.translation.requests.recent import Recent
from services.gateway.wire.openai import ChatRequest, Function, Members, Tool

Definition = dict[str, Any]

_NO_PARAMETERS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_TOOLS: Final[msgspec.json.Decoder[list[Tool] | None]] = msgspec.json.Decoder(list[Tool] | None)
_KEYWORDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COMBINATORS: Final = frozenset({"anyOf", "oneOf", "allOf"})


class Declared(msgspec.Struct, frozen=True):
    """One tool that the client offers, from `tools` or the legacy `functions`."""

    path: str
    function: Function
    cache_control: Members | None


class Ready(msgspec.Struct, frozen=True):
    """The upstream's definitions of all tools, where none of them depends on anything else. Nobody changes them."""

    definitions: list[Definition]
    written: msgspec.Raw  # the same as a JSON array
    dropped: tuple[str, ...]


class Offered(msgspec.Struct, frozen=True):
    """What the client offers, and the upstream's spelling of the names."""

    tools: list[Declared]
    names: ToolNames
    ready: Ready | None = None


class RecentTools:
    """Remembers what the last few requests offered, because agents send the same tools each time."""

    def __init__(self, recent: Recent[Offered] | None = None) -> None:
        self._recent = recent or Recent[Offered]()

    def offered(self, request: ChatRequest, dialect: Dialect, limits: RequestLimits) -> Offered:
        """Return what a request offers, with names of its own; raises TranslationError for what cannot be offered."""
        given = request.tools
        if not given and not request.functions:
            return Offered([], ToolNames((), dialect.tool_name_max))
        if not given or request.functions:
            return _offered(request, dialect, limits)

        def read(tools: msgspec.Raw) -> Offered:
            return _offered(msgspec.structs.replace(request, tools=tools), dialect, limits)

        found = self._recent.recalled(given, (dialect, limits), read)
        return Offered(found.tools, found.names.copy(), found.ready)


def _offered(request: ChatRequest, dialect: Dialect, limits: RequestLimits) -> Offered:
    tools = declared_tools(request, dialect, limits)
    names = ToolNames((tool.function.name for tool in tools), dialect.tool_name_max)
    if not tools or any(tool.cache_control is not None for tool in tools):
        return Offered(tools, names)
    dropped: list[str] = []
    definitions = define(tools, dialect, names, dropped)
    written = msgspec.Raw(msgspec.json.encode(definitions))
    return Offered(tools, names, Ready(definitions, written, tuple(dropped)))


def declared_tools(request: ChatRequest, dialect: Dialect, limits: RequestLimits) -> list[Declared]:
    """Return every tool the client offers. Refuses what cannot be offered on: too many, equal names, other kinds."""
    given = read_part(_TOOLS, request.tools, "tools") if request.tools else None
    tools = [_function_tool(tool, f"tools.{position}") for position, tool in enumerate(given or ())]
    for position, function in enumerate(request.functions or ()):
        tools.append(Declared(f"functions.{position}", function, function.cache_control))
    limit = min(limits.tools, dialect.max_tools or limits.tools)
    if len(tools) > limit:
        raise TranslationError(f"tools: at most {limit} tools are supported, {len(tools)} were sent", param="tools")
    seen: set[str] = set()
    for tool in tools:
        check_depth(bytes(tool.function.parameters), limits.json_depth, f"{tool.path}.parameters")
        name, param = tool.function.name, f"{tool.path}.name"
        if not name:
            raise TranslationError(f"{param}: must not be empty", param=param)
        if name in seen:
            raise TranslationError(f"{param}: two tools have the name {name[:64]!r}", param=param)
        seen.add(name)
    return tools


def define(tools: Iterable[Declared], dialect: Dialect, names: ToolNames, dropped: list[str]) -> list[Definition]:
    """Return the upstream's definitions, in order."""
    return [_definition(tool, dialect, names, dropped) for tool in tools]


def stubs(called: Sequence[str]) -> list[Definition]:
    """Return definitions for tools that only the history knows, by the upstream's names."""
    return [{"name": name, "input_schema": _NO_PARAMETERS} for name in called]


def _function_tool(tool: Tool, path: str) -> Declared:
    if tool.type != "function":
        param = f"{path}.type"
        raise TranslationError(f"{param}: tools of type {tool.type[:64]!r} are not supported", param=param)
    if tool.function is None:
        raise TranslationError(f"{path}.function: Field required", param=f"{path}.function")
    return Declared(f"{path}.function", tool.function, tool.cache_control or tool.function.cache_control)


def _definition(tool: Declared, dialect: Dialect, names: ToolNames, dropped: list[str]) -> Definition:
    function = tool.function
    definition: Definition = {"name": names.upstream(function.name)}
    if function.description:
        definition["description"] = function.description
    definition["input_schema"] = input_schema(function.parameters, dialect, f"{tool.path}.parameters")
    if function.strict is not None and dialect.strict_tools:
        definition["strict"] = function.strict
    elif function.strict:
        dropped.append("tools.strict")
    if tool.cache_control is not None:
        definition["cache_control"] = tool.cache_control
    return definition


def input_schema(parameters: msgspec.Raw, dialect: Dialect, param: str) -> msgspec.Raw:
    """Return the schema whole and byte for byte; none at all becomes the schema of an empty object."""
    schema = bytes(parameters)
    if schema in {b"", b"null"}:
        return _NO_PARAMETERS
    if not schema.startswith(b"{"):
        raise TranslationError(f"{param}: a JSON Schema object is wanted", param=param)
    keywords = _KEYWORDS.decode(schema).keys()
    if not keywords:
        return _NO_PARAMETERS
    if not dialect.schema_combinators and keywords & _COMBINATORS:
        raise TranslationError(
            f"{param}: anyOf, oneOf and allOf are not supported at the top of a schema by this upstream", param=param
        )
    if "type" not in keywords and "properties" in keywords:
        return msgspec.Raw(b'{"type":"object",' + schema[1:])
    return parameters
