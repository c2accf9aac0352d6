"""
An Anthropic Messages request as an OpenAI Chat Completions request (translation.md A1).

Pure: the same body gives the same bytes. The rule behind what is mapped, dropped and refused: a field that changes
what the caller gets back is honoured or refused; a hint that cannot be honoured is dropped and named.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.context import ResponseContext, TranslatedRequest
from services.gateway.translation.effort import to_openai_thinking
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.answer_shape import valid_under
from services.gateway.translation.requests.anthropic_messages import Conversation
from services.gateway.translation.requests.anthropic_options import sampling, stubs_of, user
from services.gateway.translation.requests.anthropic_tools import RecentTools, translate_tools
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.reading import read
from services.gateway.wire.anthropic import (
    KnownMessagesRequest,
    MessagesRequest,
    OutputFormat,
    TextBlock,
)

_KNOWN: Final = msgspec.json.Decoder(KnownMessagesRequest)
_ANY: Final = msgspec.json.Decoder(MessagesRequest)
_KEYS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TOOLS: Final = RecentTools()
_ENCODER: Final = msgspec.json.Encoder()

_BILLING: Final = "x-anthropic-billing-header"
_HINTS: Final = (
    "service_tier",
    "speed",
    "cache_control",
    "context_management",
    "inference_geo",
    "diagnostics",
    "user_profile_id",
    "workspace_id",
    "betas",
    "anthropic_version",
)
_DEFAULTS: Final = {"service_tier": "auto", "speed": "standard"}
_SERVER_SIDE: Final = ("container", "mcp_servers")


def anthropic_to_openai(
    body: bytes, dialect: Dialect, *, upstream_model: str, limits: RequestLimits, interleaved_thinking: bool = False
) -> TranslatedRequest:
    """
    Translate a request's body, or raise TranslationError.

    `upstream_model` is sent as the model; the client's own name for it is kept in the context. `limits` bound the
    counts of messages and tools, and the nesting of what is passed on unread. `interleaved_thinking`: the client asked
    for that beta, with which the budget is for a whole turn and may exceed max_tokens.
    """
    dropped: list[str] = []
    request = _decode(body, dropped)
    max_tokens = _check(request, dialect, limits)
    offered = _TOOLS.offered(request.tools, dialect, limits)
    names = offered.names.copy()
    conversation = Conversation(dialect=dialect, names=names, limits=limits, model=request.model, dropped=dropped)
    system = _system(request, dropped)
    for index, message in enumerate(request.messages):
        conversation.add(message, index)
    messages = conversation.finish()
    tools = translate_tools(request, offered, dialect, names, limits, dropped)
    shape, instruction = _output(request, dialect, limits, dropped)
    system += [*conversation.system, *filter(None, (instruction, tools.instruction))]
    if system:
        messages.insert(0, {"role": "system", "content": "\n\n".join(system)})
    stops, scanned = _stops(request, dialect)
    upstream: dict[str, Any] = {"model": upstream_model, "messages": messages, dialect.max_tokens_field: max_tokens}
    upstream |= tools.fields or stubs_of(conversation, dialect)
    upstream |= sampling(request, dialect, dropped)
    upstream |= _thinking(request, dialect, None if interleaved_thinking else max_tokens, dropped)
    upstream |= shape | stops | user(request, dialect, dropped)
    if request.stream:
        upstream["stream"] = True
        if dialect.stream_options:
            upstream["stream_options"] = {"include_usage": True}
    _hints(request, dropped)
    context = ResponseContext(
        requested_model=request.model,
        stream=bool(request.stream),
        tool_names=names.changed,
        stop_sequences=scanned,
        inline_think_tags=dialect.inline_think_tags,
        verify_signatures=dialect.verify_signatures,
    )
    return TranslatedRequest(body=_ENCODER.encode(upstream), context=context, dropped=tuple(dict.fromkeys(dropped)))


def _decode(body: bytes, dropped: list[str]) -> MessagesRequest:
    """Decode the body; fields that nobody knows yet are dropped by name, never refused."""
    try:
        return read(_KNOWN, body)
    except TranslationError as error:
        if "unknown field" not in error.message:
            raise
    request = read(_ANY, body)
    known = MessagesRequest.__struct_fields__
    dropped += [name[:64] for name in read(_KEYS, body) if name not in known]
    return request


def _check(request: MessagesRequest, dialect: Dialect, limits: RequestLimits) -> int:
    """Refuse what no upstream would take, or what asks for work on Anthropic's side. Returns max_tokens."""
    if not request.model:
        raise TranslationError("model: Field required", param="model")
    if request.max_tokens is None:
        raise TranslationError("max_tokens: Field required", param="max_tokens")
    if request.max_tokens < 1:
        raise TranslationError("max_tokens: Input should be greater than or equal to 1", param="max_tokens")
    if not request.messages:
        raise TranslationError("messages: at least one message is required", param="messages")
    if len(request.messages) > limits.messages:
        message = f"messages: at most {limits.messages} messages are accepted, {len(request.messages)} were sent"
        raise TranslationError(message, param="messages")
    if request.messages[-1].role == "assistant" and not dialect.prefill:
        param = f"messages.{len(request.messages) - 1}"
        message = f"{param}: the conversation must end with a user message, prefill is not supported by this upstream"
        raise TranslationError(message, param=param)
    for name in _SERVER_SIDE:
        if getattr(request, name):
            raise TranslationError(f"{name}: not available on this upstream", param=name)
    return request.max_tokens


def _system(request: MessagesRequest, dropped: list[str]) -> list[str]:
    """Return the texts of the system prompt, without the billing line: it changes and would spoil the prompt cache."""
    system = request.system
    if isinstance(system, str) and system.startswith(_BILLING):
        dropped.append(f"system.{_BILLING}")
        system = system.partition("\n")[2]
    blocks = [TextBlock(text=system)] if isinstance(system, str) else system or []
    texts = []
    for block in blocks:
        if block.cache_control is not None:
            dropped.append("cache_control")
        if block.text.startswith(_BILLING):
            dropped.append(f"system.{_BILLING}")
        elif block.text:
            texts.append(block.text)
    return texts


def _output(
    request: MessagesRequest, dialect: Dialect, limits: RequestLimits, dropped: list[str]
) -> tuple[dict[str, Any], str | None]:
    """Return the response_format, and the instruction that stands for what it cannot say."""
    config = request.output_config
    name = "output_config.format" if config and config.format else "output_format"
    wanted = config.format if config and config.format else request.output_format
    if wanted is None:
        return {}, None
    _check_format(wanted, name, limits)
    if dialect.json_schema:
        schema = {"name": "structured_output", "schema": wanted.schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}, None
    if not dialect.json_object:
        raise TranslationError(f"{name}: structured output is not supported by this upstream", param=name)
    dropped.append(f"{name}=json_object")
    return {"response_format": {"type": "json_object"}}, valid_under(wanted.schema)


def _check_format(wanted: OutputFormat, name: str, limits: RequestLimits) -> None:
    if wanted.type != "json_schema":
        raise TranslationError(f"{name}.type: Input should be 'json_schema'", param=f"{name}.type")
    schema = bytes(wanted.schema)
    if not schema.startswith(b"{"):
        raise TranslationError(f"{name}.schema: Input should be a valid dictionary", param=f"{name}.schema")
    check_depth(schema, limits.json_depth, f"{name}.schema")


def _stops(request: MessagesRequest, dialect: Dialect) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the stop field, and the sequences beyond the upstream's limit, which are scanned for in the answer."""
    every = [stop for stop in dict.fromkeys(request.stop_sequences or ()) if stop]
    for stop in every:
        if stop.isspace():
            message = "stop_sequences: each stop sequence must contain non-whitespace"
            raise TranslationError(message, param="stop_sequences")
    limit = len(every) if dialect.stop_limit is None else dialect.stop_limit
    sent = every[:limit]
    return ({"stop": sent} if sent else {}), tuple(every[limit:])


def _thinking(request: MessagesRequest, dialect: Dialect, max_tokens: int | None, dropped: list[str]) -> dict[str, Any]:
    thinking = request.thinking
    told = to_openai_thinking(
        dialect,
        thinking=thinking.type if thinking else None,
        budget_tokens=thinking.budget_tokens if thinking else None,
        effort=request.output_config.effort if request.output_config else None,
        max_tokens=max_tokens,
    )
    dropped += told.dropped
    return told.members


def _hints(request: MessagesRequest, dropped: list[str]) -> None:
    for name in _HINTS:
        value = getattr(request, name)
        if value and value != _DEFAULTS.get(name):
            dropped.append(name)
