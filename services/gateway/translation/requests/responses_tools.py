"""
What a Responses client offers as tools: one flat list of functions, and what each is called in the client's answer.

| in the request                        | for the upstream                                                             |
|---------------------------------------|------------------------------------------------------------------------------|
| function                              | itself                                                                       |
| custom (free text, maybe a grammar)   | a function with one string, `input`; the grammar goes into its description   |
| additional_tools in the input         | the same as tools of the request                                             |
| namespace of either                   | each of its tools, as `<namespace>__<name>`                                  |
| web_search, image_generation, …       | nothing, and named: the model can do without them                            |
| any other that runs at the vendor's   | refused: its use is what the client asked for                                |
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.context import ShownTool
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_tools import Declared
from services.gateway.wire.openai import Function
from services.gateway.wire.responses import Grammar, Item, ResponsesRequest, Tool, ToolChoice

_DISPENSABLE: Final = ("web_search", "image_generation", "tool_search")
_FREE_TEXT: Final = msgspec.Raw(
    b'{"type":"object","properties":{"input":{"type":"string","description":"The whole input of the tool, as text."}},'
    b'"required":["input"],"additionalProperties":false}'
)
_ANY_OBJECT: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_SHOWN: Final = 64
_MODES: Final = ("auto", "none", "required")


class Offer(msgspec.Struct):
    """The tools of a request, and by flat name those that the answer must show otherwise."""

    tools: list[Declared]
    shown: dict[str, ShownTool]


class Wish(msgspec.Struct, frozen=True):
    """The tool choice in flat names. `only`: the tools that remain, None for all."""

    mode: str | None = None  # auto, none or required; None where nothing or one tool was asked for
    name: str | None = None
    only: tuple[str, ...] | None = None


def flat_name(name: str, namespace: str | None) -> str:
    """Return the one name that stands for a tool and its namespace."""
    return f"{namespace}__{name}" if namespace else name


def offered(
    request: ResponsesRequest, items: Sequence[Item], dialect: Dialect, limits: RequestLimits, dropped: list[str]
) -> Offer:
    """
    Return what is offered on, in order; a tool that is left out is named in `dropped`.

    Tools that an item of the input adds are offered from the beginning: no upstream knows any other time.
    """
    offer = Offer([], {})
    names: set[str] = set()
    added = (
        _flat(item.tools or [], f"input.{at}.tools", None, dropped)
        for at, item in enumerate(items)
        if item.type == "additional_tools"
    )
    for path, tool, namespace in chain(_flat(request.tools or [], "tools", None, dropped), *added):
        if not tool.name:
            raise TranslationError(f"{path}.name: Field required", param=f"{path}.name")
        name = flat_name(tool.name, namespace)
        if name in names:
            raise TranslationError(f"{path}.name: two tools have the name {name[:_SHOWN]!r}", param=f"{path}.name")
        names.add(name)
        custom = tool.type == "custom"
        if custom or namespace:
            offer.shown[name] = ShownTool(tool.name, namespace, custom)
        function = _free_text(tool, name) if custom else _function(tool, name, limits, f"{path}.parameters")
        offer.tools.append(Declared(path, function, None))
    limit = min(limits.tools, dialect.max_tools or limits.tools)
    if len(names) > limit:
        raise TranslationError(f"tools: at most {limit} tools are supported, {len(names)} were sent", param="tools")
    return offer


def wished(choice: ToolChoice | str | None, offer: Offer) -> Wish:
    """Return what `tool_choice` asks for. Refuses the choice of a tool that is not there."""
    names = {tool.function.name for tool in offer.tools}
    if choice is None:
        return Wish()
    if isinstance(choice, str):
        return Wish(_mode(choice, names, "tool_choice"))
    if choice.type in {"function", "custom"}:
        return Wish(name=_chosen(choice, names, "tool_choice"))
    if choice.type == "allowed_tools":
        only = tuple(
            _chosen(tool, names, f"tool_choice.tools.{position}") for position, tool in enumerate(choice.tools or ())
        )
        if not only:
            raise TranslationError("tool_choice.tools: at least one tool is wanted", param="tool_choice.tools")
        return Wish(_mode(choice.mode or "auto", names, "tool_choice.mode"), only=only)
    param = "tool_choice.type"
    raise TranslationError(f"{param}: {choice.type[:_SHOWN]!r} is not supported by this upstream", param=param)


def _mode(word: str, names: set[str], param: str) -> str:
    if word not in _MODES:
        raise TranslationError(f"{param}: {word[:_SHOWN]!r} is not one of {', '.join(_MODES)}", param=param)
    if word == "required" and not names:
        raise TranslationError(f"{param}: 'required' needs a tool that the model can call", param=param)
    return word


def _chosen(choice: ToolChoice, names: set[str], param: str) -> str:
    name = flat_name(choice.name or "", choice.namespace)
    if name not in names:
        raise TranslationError(f"{param}.name: there is no tool {name[:_SHOWN]!r}", param=f"{param}.name")
    return name


def _flat(
    tools: list[Tool], path: str, namespace: str | None, dropped: list[str]
) -> Iterator[tuple[str, Tool, str | None]]:
    for position, tool in enumerate(tools):
        at = f"{path}.{position}"
        if tool.type in {"function", "custom"}:
            yield at, tool, namespace
        elif tool.type == "namespace" and namespace is None and tool.name:
            yield from _flat(tool.tools or [], f"{at}.tools", tool.name, dropped)
        else:
            _leave_out(tool, f"{at}.type", dropped)


def _leave_out(tool: Tool, param: str, dropped: list[str]) -> None:
    kind = next((kind for kind in _DISPENSABLE if tool.type.startswith(kind)), None)
    if kind is None:
        raise TranslationError(
            f"{param}: tools of type {tool.type[:_SHOWN]!r} are not supported by this upstream; "
            "offer a function that does the same",
            param=param,
        )
    dropped.append(f"tools.{kind}")


def _function(tool: Tool, name: str, limits: RequestLimits, param: str) -> Function:
    schema = bytes(tool.parameters)
    if schema in {b"", b"null"}:
        parameters = _ANY_OBJECT
    elif schema.startswith(b"{"):
        check_depth(schema, limits.json_depth, param)
        parameters = tool.parameters
    else:
        raise TranslationError(f"{param}: a JSON Schema object is wanted", param=param)
    return Function(name=name, description=tool.description, parameters=parameters, strict=tool.strict)


def _free_text(tool: Tool, name: str) -> Function:
    lines = [tool.description, _format(tool.format) if tool.format else None]
    return Function(name=name, description="\n\n".join(filter(None, lines)) or None, parameters=_FREE_TEXT)


def _format(grammar: Grammar) -> str | None:
    """Say in words what the upstream cannot enforce."""
    if not grammar.definition:
        return None
    return f"The input must be valid under this {grammar.syntax or 'grammar'} grammar:\n{grammar.definition}"
