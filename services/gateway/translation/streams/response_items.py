"""
The output items of a response: what a stream announces, what it ends them with, and what a batch holds.

One function per kind returns the item as JSON, so that a stream, its last event and a batch cannot disagree.
"""

from typing import Any, Final

import msgspec

from services.gateway.translation.context import ResponseContext, ResponsesContext, ShownTool
from services.gateway.translation.requests.responses_reasoning import Carried, sealed
from services.gateway.translation.streams.events import Finish, StopReason, Usage
from services.gateway.translation.streams.fold import Block, Kind
from services.gateway.translation.streams.free_text import free_text
from services.gateway.translation.streams.tool_input import is_json

_encode: Final = msgspec.json.encode
_ID_PREFIX: Final = "resp_"
_REFUSED: Final = "The model declined to answer."
_NOTHING_SHOWN: Final[ResponsesContext] = ResponsesContext(echo=b"")
_PREFIXES: Final = {Kind.TEXT: "msg", Kind.REASONING: "rs", Kind.REDACTED: "rs", Kind.TOOL: "fc"}


def shape_of(context: ResponseContext) -> ResponsesContext:
    """Return what a request asked of its answer's shape."""
    return context.responses or _NOTHING_SHOWN


def response_id(upstream: str) -> str:
    """Return the id of the response for the upstream's id of its answer."""
    return upstream if upstream.startswith(_ID_PREFIX) else _ID_PREFIX + upstream


def item_id(kind: Kind, response: str, index: int) -> str:
    """Return the id of an item; the response's id makes it unique beyond the response."""
    return f"{_PREFIXES[kind]}_{response.removeprefix(_ID_PREFIX)}_{index}"


def text_part(text: str) -> dict[str, Any]:
    """Return the part that holds a message's text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal_part(text: str) -> dict[str, Any]:
    """Return the part that holds a refusal."""
    return {"type": "refusal", "refusal": text}


def message_item(ident: str, parts: list[dict[str, Any]], status: str) -> dict[str, Any]:
    """Return a message of the assistant."""
    return {"id": ident, "type": "message", "status": status, "role": "assistant", "content": parts}


def reasoning_part(text: str, shape: ResponsesContext) -> dict[str, Any]:
    """Return the part that holds reasoning: of a summary, where one was asked for, else of the content."""
    return {"type": "summary_text" if shape.summary else "reasoning_text", "text": text}


def reasoning_item(ident: str, block: Block | None, shape: ResponsesContext) -> dict[str, Any]:
    """Return a reasoning item; None: one that has only begun."""
    parts = [reasoning_part(block.text, shape)] if block is not None and block.kind is Kind.REASONING else []
    parts = [part for part in parts if part["text"]]
    item: dict[str, Any] = {"id": ident, "type": "reasoning", "summary": parts if shape.summary else []}
    if not shape.summary:
        item["content"] = parts
    if shape.encrypted:
        item["encrypted_content"] = None if block is None else sealed(_carried(block))
    return item


def _carried(block: Block) -> Carried:
    if block.kind is Kind.REDACTED:
        return Carried(redacted=block.text)
    return Carried(thinking=block.text, signature=block.signature)


def call_item(ident: str, block: Block, shape: ResponsesContext, status: str | None = None) -> dict[str, Any]:
    """
    Return a call of a function or of a custom tool.

    `status`: that of a call that has only begun. A call whose arguments broke off is `incomplete`: it must not run.
    """
    shown = shape.shown.get(block.name) or ShownTool(block.name)
    arguments = block.text if status is not None or block.text.strip() else "{}"
    item: dict[str, Any] = {"id": ident, "call_id": block.id, "name": shown.name}
    if shown.namespace is not None:
        item["namespace"] = shown.namespace
    item["status"] = status or ("completed" if is_json(arguments) else "incomplete")
    if shown.custom:
        return {"type": "custom_tool_call", **item, "input": free_text(block.text) if status is None else ""}
    return {"type": "function_call", **item, "arguments": arguments}


def is_shown(block: Block, shape: ResponsesContext) -> bool:
    """Whether a block becomes an item: opaque reasoning does only where it can be carried."""
    return block.kind is not Kind.REDACTED or shape.encrypted


def item_of(block: Block, response: str, index: int, shape: ResponsesContext) -> dict[str, Any]:
    """Return a whole block's item."""
    ident = item_id(block.kind, response, index)
    if block.kind is Kind.TEXT:
        return message_item(ident, [text_part(block.text)], "completed")
    return call_item(ident, block, shape) if block.kind is Kind.TOOL else reasoning_item(ident, block, shape)


def refusal_of(finish: Finish, *, texts: bool) -> str | None:
    """Return the refusal that an answer without any text has to show."""
    return (finish.refusal or _REFUSED) if finish.reason is StopReason.REFUSAL and not texts else None


def ending(finish: Finish) -> tuple[str, dict[str, str] | None]:
    """Return the response's status, and its `incomplete_details`."""
    if finish.reason in {StopReason.LENGTH, StopReason.CONTEXT_WINDOW}:
        return "incomplete", {"reason": "max_output_tokens"}
    if finish.reason is StopReason.REFUSAL:
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def usage_json(usage: Usage) -> bytes:
    """Return the `usage` object; cached tokens are part of the input, reasoning is part of the output."""
    read, write, output = usage.cache_read or 0, usage.cache_write or 0, usage.output or 0
    prompt = (usage.input or 0) + read + write
    body = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": prompt + output,
    }
    return _encode(body)


class ResponseBody:
    """Writes the response object, whole or at any point of a stream. `created` in whole seconds."""

    __slots__ = ("_head", "_tail", "id")

    def __init__(self, upstream_id: str, upstream_model: str, context: ResponseContext, created: int) -> None:
        self.id = response_id(upstream_id)
        model = _encode(context.requested_model or upstream_model)
        self._head = b'{"id":%b,"object":"response","created_at":%d,"model":%b,' % (_encode(self.id), created, model)
        echo = shape_of(context).echo
        self._tail = b'"background":false,"previous_response_id":null,"service_tier":"default","store":false' + (
            b"," + echo if echo else b""
        )

    def write(
        self,
        status: str,
        items: list[bytes],
        *,
        usage: Usage | None = None,
        incomplete: dict[str, str] | None = None,
        error: dict[str, Any] | None = None,
    ) -> bytes:
        """Return the object."""
        return b'%b"status":%b,"error":%b,"incomplete_details":%b,"output":[%b],"usage":%b,%b}' % (
            self._head,
            _encode(status),
            _encode(error),
            _encode(incomplete),
            b",".join(items),
            b"null" if usage is None else usage_json(usage),
            self._tail,
        )
