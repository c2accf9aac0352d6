"""
A Chat Completions request of an OpenAI client as a Messages request for an Anthropic upstream.

One typed decode, one encode, no form in between. Pure: any bytes give a TranslatedRequest or a TranslationError.
Contract: translation.md A3, A4, A5, A8; cases B95 to B124.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.context import ResponseContext, TranslatedRequest
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests import openai_options as options
from services.gateway.translation.requests.duplicates import members_of
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_messages import Conversation
from services.gateway.translation.requests.openai_tool_choice import ToolPlan, plan_tools
from services.gateway.translation.requests.openai_tools import RecentTools
from services.gateway.translation.requests.reading import read
from services.gateway.wire.openai import ChatRequest
from services.gateway.wire.outline import Outline

_REQUEST: Final = msgspec.json.Decoder(ChatRequest)
_NO_TOOLS: Final = frozenset({b"", b"null", b"[]"})
_TOOLS: Final = RecentTools()


def openai_to_anthropic(
    body: bytes,
    dialect: Dialect,
    *,
    upstream_model: str,
    default_max_tokens: int,
    limits: RequestLimits,
    outline: Outline | None = None,
    finish: bool = False,
    user_id: str | None = None,
) -> TranslatedRequest:
    """
    Translate one request.

    `default_max_tokens` serves clients that set no limit, which Anthropic's wire demands. Hints that could not be
    honoured are named in `dropped`; what would change the meaning of the answer is refused. `outline` is what was read
    of the body before. `finish`: make the mutations M2 and M3 (upstream.md section 4), the latter with `user_id`, too;
    that is cheaper here than in the bytes that come of it.
    """
    request = read(_REQUEST, body)
    dropped = _check(request, body, limits, outline)
    offered = _TOOLS.offered(request, dialect, limits)
    tools, names = offered.tools, offered.names
    conversation = Conversation(dialect, names, dropped, depth=limits.json_depth)
    for position, message in enumerate(request.messages):
        conversation.add(message, position)
    conversation.finish()
    plan = plan_tools(request, tools, dialect, names, tuple(conversation.called), dropped, offered.ready)
    out, scanned = _options(request, dialect, conversation, plan, default_max_tokens, limits, dropped)
    if finish:
        _finish(out, conversation, user_id)
    out = {"model": upstream_model, **out, "messages": conversation.messages}
    _note_stream_options(request, dropped)
    return TranslatedRequest(
        body=msgspec.json.encode(out),
        context=_context(request, dialect, names, tuple(scanned)),
        dropped=tuple(dict.fromkeys(dropped)),
        finished=finish,
    )


def _finish(out: dict[str, Any], conversation: Conversation, user_id: str | None) -> None:
    if user_id is not None:
        out["metadata"] = {"user_id": user_id}
    marks = conversation.inner_breakpoints + ("cache_control" in out)
    tools = out.get("tools")
    own = tools if isinstance(tools, list) else ()
    blocks = (*own, *out.get("system", ()), *conversation.breakpoints) if own or conversation.marked else ()
    options.mark_last_block(conversation.messages, marks + sum("cache_control" in block for block in blocks))


def _check(request: ChatRequest, body: bytes, limits: RequestLimits, outline: Outline | None) -> list[str]:
    """Refuse what no upstream could be told; return the names of the fields that are not read."""
    fields = members_of(body, outline)
    if not request.model:
        raise TranslationError("model: Field required", param="model")
    if len(request.messages) > limits.messages:
        raise TranslationError(f"messages: at most {limits.messages} messages are supported", param="messages")
    options.refuse_unsupported(request)
    return options.unknown_fields(fields)


def _options(
    request: ChatRequest,
    dialect: Dialect,
    conversation: Conversation,
    plan: ToolPlan,
    default_max_tokens: int,
    limits: RequestLimits,
    dropped: list[str],
) -> tuple[dict[str, Any], list[str]]:
    """
    Return everything but model and messages, and the stop sequences that the upstream is not told.

    The messages come last in the body, so that a longer history begins with the bytes of a shorter one.
    """
    limit = options.max_tokens(request, default_max_tokens)
    thought = options.thinking(request, dialect, limit, conversation.messages, dropped)
    thinking_on = options.thinks(thought.get("thinking"))
    last = f"messages.{len(request.messages) - 1}"
    options.settle_prefill(conversation.messages, dialect, thinking_on=thinking_on, param=last)
    wanted, instruction = options.answer_format(request, dialect, dropped, depth=limits.json_depth)
    system = conversation.system
    for line in (plan.instruction, instruction):
        if line:
            system.append({"type": "text", "text": line})
    own = plan.definitions if plan.written is None else []
    if own or conversation.marked:
        marked = [*own, *system, *conversation.breakpoints]
        options.spare_breakpoints(marked, taken=request.cache_control is not None, dropped=dropped)
    sequences, scanned = options.stop_sequences(request, dialect)
    members: dict[str, Any] = {
        "max_tokens": limit,
        "system": system,
        "tools": own or plan.written,
        "tool_choice": plan.choice,
        "thinking": thought.get("thinking"),
        "output_config": {**thought.get("output_config", {}), **wanted},
    }
    out = {name: value for name, value in members.items() if value}
    out |= options.sampling(request, dialect, thinking_on=thinking_on, dropped=dropped)
    if sequences:
        out["stop_sequences"] = sequences
    out |= options.metadata(request, dialect, dropped)
    if request.cache_control:
        out["cache_control"] = request.cache_control
    if request.stream:
        out["stream"] = True
    return out, scanned


def _note_stream_options(request: ChatRequest, dropped: list[str]) -> None:
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        dropped.append("stream_options.include_obfuscation")


def _context(request: ChatRequest, dialect: Dialect, names: ToolNames, scanned: tuple[str, ...]) -> ResponseContext:
    stream = bool(request.stream)
    asked = request.stream_options is not None and bool(request.stream_options.include_usage)
    return ResponseContext(
        requested_model=request.model,
        stream=stream,
        include_usage=stream and asked,
        tool_names=names.changed,
        stop_sequences=scanned,
        legacy_functions=bool(request.functions) and bytes(request.tools) in _NO_TOOLS,
        inline_think_tags=dialect.inline_think_tags,
        verify_signatures=dialect.verify_signatures,
    )
