"""
A Responses request as a Chat Completions request for an OpenAI upstream.

Pure: the same body gives the same bytes. The conversation and the tools go through the machines that Anthropic's go
through, because its blocks are the richer form; so both dialects meet the upstream's peculiarities in one place.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.context import ResponseContext, TranslatedRequest
from services.gateway.translation.effort import to_openai_effort
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests import responses_options as options
from services.gateway.translation.requests.anthropic_messages import Conversation
from services.gateway.translation.requests.anthropic_options import sampling, stubs_of, user
from services.gateway.translation.requests.anthropic_tools import Offered, translate_tools
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.responses_input import Input, Turn
from services.gateway.translation.requests.responses_tools import Offer, Wish, offered, wished
from services.gateway.wire import anthropic
from services.gateway.wire.outline import Outline
from services.gateway.wire.responses import Format, ResponsesRequest

_encode: Final = msgspec.json.encode
_MODES: Final = {"required": "any"}


def responses_to_openai(
    body: bytes, dialect: Dialect, *, upstream_model: str, limits: RequestLimits, outline: Outline | None = None
) -> TranslatedRequest:
    """
    Translate a request's body, or raise TranslationError; `upstream_model` is sent as the model.

    `outline` is what was read of the body before.
    """
    dropped: list[str] = []
    found = options.asked(body, limits, dropped, outline)
    request = found.request
    offer = offered(request, found.items, dialect, limits, dropped)
    names = ToolNames([tool.function.name for tool in offer.tools], dialect.tool_name_max)
    wish = wished(request.tool_choice, offer)
    told = _told(request, offer, wish)
    tools = translate_tools(told, Offered(_tools(offer, wish), names), dialect, names, limits, dropped)
    conversation = Conversation(dialect=dialect, names=names, limits=limits, model=request.model, dropped=dropped)
    messages = _messages(found, dialect, conversation, limits, dropped)
    shape, line = _format(options.text_format(request, limits), dialect, dropped)
    system = [request.instructions, *conversation.system, line, tools.instruction]
    if text := "\n\n".join(filter(None, system)):
        messages.insert(0, {"role": "system", "content": text})
    upstream: dict[str, Any] = {"model": upstream_model, "messages": messages}
    if request.max_output_tokens is not None:
        upstream[dialect.max_tokens_field] = request.max_output_tokens
    upstream |= tools.fields or stubs_of(conversation, dialect)
    upstream |= sampling(told, dialect, dropped) | _effort(found.effort, dialect, dropped) | shape
    upstream |= user(told, dialect, dropped)
    if request.stream:
        upstream["stream"] = True
        if dialect.stream_options:
            upstream["stream_options"] = {"include_usage": True}
    context = ResponseContext(
        requested_model=request.model,
        stream=bool(request.stream),
        tool_names=names.changed,
        inline_think_tags=dialect.inline_think_tags,
        verify_signatures=dialect.verify_signatures,
        responses=options.shape_of_answer(found, offer.shown),
    )
    return TranslatedRequest(body=_encode(upstream), context=context, dropped=options.own_words(dropped))


def _told(request: ResponsesRequest, offer: Offer, wish: Wish) -> anthropic.MessagesRequest:
    """Return what is asked besides the conversation, as the machines that are shared read it."""
    mode = "tool" if wish.name is not None else _MODES.get(wish.mode or "", wish.mode)
    one = request.parallel_tool_calls is False and bool(offer.tools)
    choice = None
    if mode is not None or one:
        choice = anthropic.ToolChoice(mode or "auto", wish.name, disable_parallel_tool_use=one or None)
    user_id = request.safety_identifier or request.user
    return anthropic.MessagesRequest(
        model=request.model,
        messages=[],
        tool_choice=choice,
        stream=request.stream,
        temperature=request.temperature,
        top_p=request.top_p,
        metadata={"user_id": msgspec.Raw(_encode(user_id))} if user_id else None,
    )


def _tools(offer: Offer, wish: Wish) -> list[anthropic.Tool]:
    return [
        anthropic.Tool(
            name=tool.function.name,
            description=msgspec.Raw(_encode(tool.function.description)),
            input_schema=tool.function.parameters,
            strict=tool.function.strict,
        )
        for tool in offer.tools
        if wish.only is None or tool.function.name in wish.only
    ]


def _messages(
    found: options.Asked, dialect: Dialect, conversation: Conversation, limits: RequestLimits, dropped: list[str]
) -> list[dict[str, Any]]:
    reader = Input(dialect, dropped, depth=limits.json_depth)
    for position, item in enumerate(found.items):
        reader.add(item, position)
    turns = reader.finish()
    for turn in turns:
        conversation.add(msgspec.convert(msgspec.structs.asdict(turn), anthropic.Message), turn.at)
    _refuse_prefill(turns[-1], dialect)
    return conversation.finish()


def _refuse_prefill(last: Turn, dialect: Dialect) -> None:
    if last.role == "assistant" and not dialect.prefill:
        param = f"input.{last.at}"
        message = f"{param}: the input must end with a user's message or a tool's output at this upstream"
        raise TranslationError(message, param=param)


def _format(wanted: Format | None, dialect: Dialect, dropped: list[str]) -> tuple[dict[str, Any], str | None]:
    """Return the response_format, and the line for the system prompt that stands for what it cannot say."""
    if wanted is None:
        return {}, None
    if wanted.type == "json_schema" and dialect.json_schema:
        schema: dict[str, Any] = {"name": wanted.name or "answer", "schema": wanted.schema}
        if wanted.strict is not None:
            schema["strict"] = wanted.strict
        return {"response_format": {"type": "json_schema", "json_schema": schema}}, None
    shape = {"response_format": {"type": "json_object"}} if dialect.json_object else {}
    if wanted.type == "json_object" and shape:
        return shape, None
    dropped.append("text.format=json_object" if shape else "text.format")
    return shape, options.in_words(wanted)


def _effort(effort: str | None, dialect: Dialect, dropped: list[str]) -> dict[str, Any]:
    told = to_openai_effort(dialect, effort=effort)
    dropped += told.dropped
    return told.members
