"""
Which tools an OpenAI client wants called, said to an Anthropic upstream (translation.md A5).

| client                  | upstream that honours all       | upstream that knows auto only (reported as changed)     |
|-------------------------|---------------------------------|---------------------------------------------------------|
| none                    | {type: none}                    | no tools; where history needs them, tools and a line    |
| auto                    | {type: auto}                    | {type: auto}                                            |
| required                | {type: any}                     | {type: auto} and a line in the system prompt            |
| one function            | {type: tool, name}              | that tool alone, {type: auto}                           |
| allowed_tools           | those tools alone, then by mode | the same                                                |
| no tools, calls in past | stubs, {type: none}             | stubs and a line, where history needs them              |
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, ToolChoice
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.forced_tools import CALL_A_TOOL
from services.gateway.translation.requests.openai_tools import Declared, Definition, Ready, define, stubs
from services.gateway.wire.openai import AllowedTools, ChatRequest, NamedFunction

CALL_NO_TOOL: Final = "Do not call any tool in this answer."

_MODES: Final = {"auto": "auto", "required": "any", "none": "none"}


class Choice(msgspec.Struct, frozen=True):
    """What the client chose, in its own names of the tools."""

    mode: str | None = None  # auto, any, none or tool; None: it did not say
    name: str | None = None  # the tool of mode tool
    only: frozenset[str] | None = None  # the tools that remain; None: all


class ToolPlan(msgspec.Struct):
    """What becomes of the tools. `instruction` is a line for the system prompt, where tool_choice cannot say it."""

    definitions: list[Definition]
    choice: dict[str, Any] | None = None
    instruction: str | None = None
    written: msgspec.Raw | None = None  # the definitions as a JSON array, where it is there already


def plan_tools(
    request: ChatRequest,
    tools: Sequence[Declared],
    dialect: Dialect,
    names: ToolNames,
    called: Sequence[str],
    dropped: list[str],
    ready: Ready | None = None,
) -> ToolPlan:
    """
    Return tools and tool choice for the upstream.

    `called`: its names of the tools in the history; `ready`: its definitions of all tools, where they are made already.
    """
    needed = bool(called) and not dialect.tool_calls_without_tools
    choice = read_choice(request, tools)
    if not tools:
        plan = _without_tools(request, called if needed else (), dialect, dropped)
    elif dialect.tool_choice is ToolChoice.FULL:
        plan = _offer(tools, choice.only, dialect, names, dropped, ready)
        plan.choice = _say(choice, names)
    else:
        only = choice.only if choice.name is None else frozenset({choice.name})
        plan = _offer(tools, only, dialect, names, dropped, ready)
        _say_auto(choice, plan, dropped, needed=needed)
    if request.parallel_tool_calls is False:
        _one_at_a_time(plan, dialect, dropped)
    return plan


def _offer(
    tools: Sequence[Declared],
    only: frozenset[str] | None,
    dialect: Dialect,
    names: ToolNames,
    dropped: list[str],
    ready: Ready | None,
) -> ToolPlan:
    if ready is None or only is not None:
        return ToolPlan(define(_keep(tools, only), dialect, names, dropped))
    dropped += ready.dropped
    return ToolPlan(ready.definitions, written=ready.written)


def read_choice(request: ChatRequest, tools: Sequence[Declared]) -> Choice:
    """Return `tool_choice`, or the legacy `function_call`. Refuses the choice of a tool that is not there."""
    given = request.tool_choice
    if isinstance(given, str):
        return Choice(_mode(given, "tool_choice"))
    if given is None:
        return _read_function_call(request.function_call, tools)
    names = _names(tools)
    if given.type == "function" and given.function is not None:
        return _named(given.function.name, names, "tool_choice.function.name")
    if given.type == "allowed_tools" and given.allowed_tools is not None:
        return _allowed(given.allowed_tools, names)
    param = "tool_choice.type"
    raise TranslationError(f"{param}: {given.type[:64]!r} is not supported or lacks its field", param=param)


def _read_function_call(given: NamedFunction | str | None, tools: Sequence[Declared]) -> Choice:
    if given is None:
        return Choice()
    if isinstance(given, str):
        return Choice(_mode(given, "function_call"))
    return _named(given.name, _names(tools), "function_call.name")


def _names(tools: Sequence[Declared]) -> frozenset[str]:
    return frozenset(tool.function.name for tool in tools)


def _mode(word: str, param: str) -> str:
    if word not in _MODES:
        raise TranslationError(f"{param}: {word[:64]!r} is not one of {', '.join(_MODES)}", param=param)
    return _MODES[word]


def _named(name: str, names: frozenset[str], param: str) -> Choice:
    if name not in names:
        raise TranslationError(f"{param}: there is no tool {name[:64]!r}", param=param)
    return Choice("tool", name=name)


def _allowed(allowed: AllowedTools, names: frozenset[str]) -> Choice:
    param = "tool_choice.allowed_tools"
    only: set[str] = set()
    for position, tool in enumerate(allowed.tools):
        name = tool.function.name if tool.function else ""
        _named(name, names, f"{param}.tools.{position}")
        only.add(name)
    if not only:
        raise TranslationError(f"{param}.tools: at least one tool is wanted", param=f"{param}.tools")
    return Choice(_mode(allowed.mode, f"{param}.mode"), only=frozenset(only))


def _keep(tools: Sequence[Declared], only: frozenset[str] | None) -> list[Declared]:
    return [tool for tool in tools if only is None or tool.function.name in only]


def _without_tools(request: ChatRequest, called: Sequence[str], dialect: Dialect, dropped: list[str]) -> ToolPlan:
    """Offer nothing, or stubs that nobody may call, where the upstream wants every tool of the history defined."""
    if request.tool_choice == "required":
        dropped.append("tool_choice")
    if not called:
        return ToolPlan([])
    if dialect.tool_choice is ToolChoice.FULL:
        return ToolPlan(stubs(called), {"type": "none"})
    return ToolPlan(stubs(called), None, CALL_NO_TOOL)


def _say(choice: Choice, names: ToolNames) -> dict[str, Any] | None:
    if choice.mode is None:
        return None
    if choice.name is not None:
        return {"type": "tool", "name": names.upstream(choice.name)}
    return {"type": choice.mode}


def _say_auto(choice: Choice, plan: ToolPlan, dropped: list[str], *, needed: bool) -> None:
    """Come as near to the choice as `auto` allows."""
    match choice.mode:
        case None:
            return
        case "none":
            dropped.append("tool_choice")
            if needed:
                plan.instruction = CALL_NO_TOOL
            else:
                plan.definitions, plan.written = [], None
            return
        case "any":
            plan.instruction = CALL_A_TOOL
            dropped.append("tool_choice=auto")
        case "tool":
            dropped.append("tool_choice=auto")
        case _:
            pass
    plan.choice = {"type": "auto"}


def _one_at_a_time(plan: ToolPlan, dialect: Dialect, dropped: list[str]) -> None:
    if not plan.definitions or not dialect.parallel_tool_calls:
        dropped.append("parallel_tool_calls")
        return
    plan.choice = plan.choice or {"type": "auto"}
    if plan.choice["type"] != "none":
        plan.choice["disable_parallel_tool_use"] = True
