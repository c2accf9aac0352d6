"""
A Responses request as a Messages request for an Anthropic upstream.

Pure: the same body gives the same bytes. What both vendors' clients ask alike (tools, sampling, thinking) goes through
the functions of the Chat Completions translation; the conversation comes in Anthropic's blocks already, in the order
the model wrote them, so that signed thinking stands where it stood.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.context import ResponseContext, TranslatedRequest
from services.gateway.translation.names import ToolIds, ToolNames
from services.gateway.translation.requests import openai_options
from services.gateway.translation.requests import responses_options as options
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.marks import system_reminder
from services.gateway.translation.requests.openai_content import take_out
from services.gateway.translation.requests.openai_messages import OutMessage
from services.gateway.translation.requests.openai_tool_choice import ToolPlan, plan_tools
from services.gateway.translation.requests.responses_input import Block, Input, Turn
from services.gateway.translation.requests.responses_tools import Wish, offered, wished
from services.gateway.wire import openai
from services.gateway.wire.outline import Outline
from services.gateway.wire.responses import ResponsesRequest

_encode: Final = msgspec.json.encode


def responses_to_anthropic(
    body: bytes,
    dialect: Dialect,
    *,
    upstream_model: str,
    default_max_tokens: int,
    limits: RequestLimits,
    outline: Outline | None = None,
) -> TranslatedRequest:
    """
    Translate a request's body, or raise TranslationError.

    `default_max_tokens` serves clients that set no limit, which Anthropic's wire demands. `outline` is what was
    read of the body before.
    """
    dropped: list[str] = []
    found = options.asked(body, limits, dropped, outline)
    request = found.request
    offer = offered(request, found.items, dialect, limits, dropped)
    names = ToolNames((tool.function.name for tool in offer.tools), dialect.tool_name_max)
    conversation = _conversation(found, dialect, names, limits, dropped)
    told = _told(request, found.effort, wished(request.tool_choice, offer), offered=bool(offer.tools))
    plan = plan_tools(told, offer.tools, dialect, names, tuple(conversation.called), dropped)
    limit = request.max_output_tokens or default_max_tokens
    out = {
        "model": upstream_model,
        **_options(found, told, dialect, conversation, plan, limit, limits, dropped),
        "messages": conversation.messages,
    }
    context = ResponseContext(
        requested_model=request.model,
        stream=bool(request.stream),
        tool_names=names.changed,
        inline_think_tags=dialect.inline_think_tags,
        verify_signatures=dialect.verify_signatures,
        responses=options.shape_of_answer(found, offer.shown),
    )
    return TranslatedRequest(body=_encode(out), context=context, dropped=options.own_words(dropped))


def _told(request: ResponsesRequest, effort: str | None, wish: Wish, *, offered: bool) -> openai.ChatRequest:
    """Return what is asked besides the conversation, as the functions that are shared read it."""
    choice: openai.ToolChoice | str | None = wish.mode
    if wish.name is not None:
        choice = openai.ToolChoice("function", openai.NamedFunction(wish.name))
    elif wish.only is not None:
        tools = [openai.AllowedTool(function=openai.NamedFunction(name)) for name in wish.only]
        choice = openai.ToolChoice("allowed_tools", allowed_tools=openai.AllowedTools(wish.mode or "auto", tools))
    return openai.ChatRequest(
        model=request.model,
        messages=[],
        stream=request.stream,
        temperature=request.temperature,
        top_p=request.top_p,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls if offered else None,
        reasoning=openai.Reasoning(effort) if effort is not None else None,
        user=request.user,
        safety_identifier=request.safety_identifier,
    )


def _options(
    found: options.Asked,
    told: openai.ChatRequest,
    dialect: Dialect,
    conversation: "_Conversation",
    plan: ToolPlan,
    limit: int,
    limits: RequestLimits,
    dropped: list[str],
) -> dict[str, Any]:
    """Return everything but model and messages, which come last so that a longer history begins with a shorter one."""
    request = found.request
    thought = openai_options.thinking(told, dialect, limit, conversation.messages, dropped)
    thinking_on = openai_options.thinks(thought.get("thinking"))
    openai_options.settle_prefill(
        conversation.messages, dialect, thinking_on=thinking_on, param=f"input.{conversation.last}"
    )
    wanted = options.text_format(request, limits)
    config, line = thought.pop("output_config", {}), None
    if wanted is not None and wanted.type == "json_schema" and dialect.json_schema:
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    elif wanted is not None:
        line = options.in_words(wanted)
        dropped.append("text.format")
    lines = [{"type": "text", "text": text} for text in (plan.instruction, line) if text]
    out: dict[str, Any] = {
        "max_tokens": limit,
        "system": conversation.system + lines,
        "tools": plan.definitions,
        "tool_choice": plan.choice,
        **thought,
        "output_config": config,
        **openai_options.sampling(told, dialect, thinking_on=thinking_on, dropped=dropped),
        **openai_options.metadata(told, dialect, dropped),
        "stream": request.stream or None,
    }
    return {name: value for name, value in out.items() if value is not None and value not in ([], {})}


def _conversation(
    found: options.Asked, dialect: Dialect, names: ToolNames, limits: RequestLimits, dropped: list[str]
) -> "_Conversation":
    reader = Input(dialect, dropped, depth=limits.json_depth, call_id=_UniqueIds())
    for position, item in enumerate(found.items):
        reader.add(item, position)
    conversation = _Conversation(dialect, names)
    if found.request.instructions:
        conversation.system.append({"type": "text", "text": found.request.instructions})
    for turn in reader.finish():
        conversation.add(turn)
    return conversation


class _UniqueIds:
    """Spells the ids of calls as Anthropic takes them, each once in a conversation."""

    def __init__(self) -> None:
        self._ids = ToolIds()
        self._uses: defaultdict[str, int] = defaultdict(int)

    def __call__(self, given: str) -> str:
        self._uses[given] += 1
        uses = self._uses[given]
        return self._ids.upstream(given if uses == 1 else f"{given} {uses}")


class _Conversation:
    """Takes turns; holds the upstream's messages, in which neighbours of one role share one."""

    def __init__(self, dialect: Dialect, names: ToolNames) -> None:
        self.system: list[Block] = []
        self.messages: list[OutMessage] = []
        self.called: dict[str, None] = {}  # the upstream's names of the tools that were called, in order
        self.last = 0  # index of the item that the last turn begins with
        self._dialect = dialect
        self._names = names

    def add(self, turn: Turn) -> None:
        """Take the next turn."""
        self.last = turn.at
        if turn.role == "system":
            self._system(turn.content)
        elif turn.role == "user":
            self._append("user", self._results(turn.content))
        else:
            for block in turn.content:
                if block["type"] == "tool_use":
                    block["name"] = self._names.upstream(block["name"])
                    self.called[block["name"]] = None
            self._append("assistant", turn.content)

    def _system(self, blocks: list[Block]) -> None:
        if not self.messages or self._dialect.mid_system is MidSystem.HOIST:
            self.system += blocks
        elif self._dialect.mid_system is MidSystem.NATIVE:
            self._append("system", blocks)
        else:
            self._append("user", [{"type": "text", "text": system_reminder(block["text"])} for block in blocks])

    def _results(self, blocks: list[Block]) -> list[Block]:
        """Return a user's blocks; what results hold besides text follows them where the upstream wants it."""
        following: list[Block] = []
        for block in blocks:
            if block["type"] != "tool_result":
                continue
            content = block.get("content") or self._dialect.empty_tool_result
            if isinstance(content, list) and not self._dialect.tool_result_images:
                content, attached = take_out(content, block["tool_use_id"])
                following += attached
            if content:
                block["content"] = content
        return blocks + following

    def _append(self, role: str, blocks: list[Block]) -> None:
        if self.messages and self.messages[-1].role == role:
            self.messages[-1].content.extend(blocks)
        else:
            self.messages.append(OutMessage(role, list(blocks)))
