"""
What both translations of a Responses request do alike: read it, refuse what cannot be had, note what is lost.

The rule is that of the other dialects: what changes the answer is honoured or refused, a hint that cannot be honoured
is dropped and named. Nothing is stored here, so whatever refers to something stored is refused with what to do instead.
"""

import re
from typing import Any, Final

import msgspec

from services.gateway.translation.context import ResponsesContext, ShownTool
from services.gateway.translation.effort import SCALE
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.answer_shape import ONE_OBJECT, valid_under
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.duplicates import members_of
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_options import unknown_fields
from services.gateway.translation.requests.reading import read
from services.gateway.wire.outline import Outline
from services.gateway.wire.responses import Format, Item, ResponsesRequest

_REQUEST: Final = msgspec.json.Decoder(ResponsesRequest)
_READ: Final = frozenset(ResponsesRequest.__struct_fields__)
_encode: Final = msgspec.json.encode

_ENCRYPTED: Final = "reasoning.encrypted_content"
_LOGPROBS: Final = "message.output_text.logprobs"
_WORD: Final = re.compile(r"[A-Za-z0-9_.]{1,64}")
_HOTTEST: Final = 2.0
_ITEMS_PER_MESSAGE: Final = 4  # reasoning, text and calls are items of their own

# What a response says again of its request, and what it says where the request was silent.
_ECHOED: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_OWN_WORDS: Final = {  # what the two upstream formats call what a Responses client calls otherwise
    "output_config.effort": "reasoning.effort",
    "thinking": "reasoning.effort",
    "tool_choice.disable_parallel_tool_use": "parallel_tool_calls",
    "response_format": "text.format",
    "metadata.user_id": "user",
    "messages.thinking": "input.reasoning",
    "messages.redacted_thinking": "input.reasoning",
}


class Asked(msgspec.Struct, frozen=True):
    """A request that has been read and found possible."""

    request: ResponsesRequest
    items: list[Item]
    effort: str | None
    fields: dict[str, msgspec.Raw]


def asked(body: bytes, limits: RequestLimits, dropped: list[str], outline: Outline | None = None) -> Asked:
    """
    Read a body. Refuses what no upstream could be told; names in `dropped` what is not read.

    `outline` is what was read of the body before.
    """
    request = read(_REQUEST, body)
    fields = members_of(body, outline)
    if not request.model:
        raise TranslationError("model: Field required", param="model")
    _refuse_stored(request)
    _check_numbers(request)
    items = _items(request, limits)
    effort = request.reasoning.effort if request.reasoning else None
    if effort is not None and effort not in SCALE:
        param = "reasoning.effort"
        raise TranslationError(f"{param}: {effort[:64]!r} is not one of {', '.join(SCALE)}", param=param)
    dropped += unknown_fields(fields, _READ)
    _note_hints(request, dropped)
    return Asked(request, items, effort, fields)


def _items(request: ResponsesRequest, limits: RequestLimits) -> list[Item]:
    given = request.input
    if not given:
        raise TranslationError("input: Field required", param="input")
    if isinstance(given, str):
        return [Item(role="user", content=given)]
    most = limits.messages * _ITEMS_PER_MESSAGE
    if len(given) > most:
        message = f"input: at most {most} items are supported; shorten the conversation or raise `limits.messages`"
        raise TranslationError(message, param="input")
    return given


def _refuse_stored(request: ResponsesRequest) -> None:
    """Refuse what refers to a store or runs on without the client."""
    nothing = "no response is stored here"
    wrong: tuple[tuple[str, bool, str], ...] = (
        (
            "previous_response_id",
            request.previous_response_id is not None,
            f"{nothing}; send the earlier items in `input`",
        ),
        ("conversation", request.conversation is not None, f"{nothing}; send the earlier items in `input`"),
        ("background", bool(request.background), f"{nothing}, so that none could be fetched later; use `stream`"),
        ("prompt", request.prompt is not None, "prompt templates live at the vendor; send their text"),
        ("top_logprobs", bool(request.top_logprobs), "log probabilities are not supported by this upstream"),
        ("include", _LOGPROBS in (request.include or ()), f"{_LOGPROBS} is not supported by this upstream"),
    )
    for param, is_wrong, why in wrong:
        if is_wrong:
            raise TranslationError(f"{param}: {why}", param=param)


def _check_numbers(request: ResponsesRequest) -> None:
    if request.max_output_tokens is not None and request.max_output_tokens < 1:
        raise TranslationError("max_output_tokens: must be at least 1", param="max_output_tokens")
    for param, value, most in (("temperature", request.temperature, _HOTTEST), ("top_p", request.top_p, 1.0)):
        if value is not None and not 0 <= value <= most:
            raise TranslationError(f"{param}: must be between 0 and {most:g}", param=param)


def _note_hints(request: ResponsesRequest, dropped: list[str]) -> None:
    """Name what is read and cannot be honoured."""
    if request.store:
        dropped.append("store")
    if request.truncation not in {None, "disabled"}:
        dropped.append("truncation")
    if request.text is not None and request.text.verbosity not in {None, "medium"}:
        dropped.append("text.verbosity")
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        dropped.append("stream_options.include_obfuscation")
    others = (word for word in request.include or () if word != _ENCRYPTED)
    dropped += [f"include.{word}" if _WORD.fullmatch(word) else "include" for word in others]


def text_format(request: ResponsesRequest, limits: RequestLimits) -> Format | None:
    """Return the format that the text has to have, checked; None for plain text."""
    wanted = request.text.format if request.text else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return wanted
    if wanted.type != "json_schema":
        param = "text.format.type"
        shown = wanted.type[:64]
        raise TranslationError(f"{param}: {shown!r} is not one of text, json_object, json_schema", param=param)
    param = "text.format.schema"
    if not bytes(wanted.schema).startswith(b"{"):
        raise TranslationError(f"{param}: a JSON Schema object is wanted", param=param)
    check_depth(bytes(wanted.schema), limits.json_depth, param)
    return wanted


def in_words(wanted: Format) -> str:
    """Return the line for the system prompt that stands for a format the upstream cannot be told."""
    return ONE_OBJECT if wanted.type == "json_object" else valid_under(wanted.schema)


def shape_of_answer(found: Asked, shown: dict[str, ShownTool]) -> ResponsesContext:
    """Return what the answer's side must know."""
    request = found.request
    reasoning = request.reasoning
    summary = reasoning is not None and (reasoning.summary or reasoning.generate_summary) is not None
    said = {name: found.fields.get(name) for name in _ECHOED}
    echo = {name: _ECHOED[name] if value is None or bytes(value) == b"null" else value for name, value in said.items()}
    written = _encode(echo)
    if b"\n" in written or b"\r" in written:
        written = msgspec.json.format(written, indent=-1)  # what a client indents for people must fit one line
    return ResponsesContext(
        echo=written[1:-1],
        shown=shown,
        summary=summary,
        encrypted=_ENCRYPTED in (request.include or ()),
    )


def own_words(dropped: list[str]) -> tuple[str, ...]:
    """Return each hint that was lost once, under the name that the client has for it."""
    named = []
    for hint in dropped:
        name, equals, value = hint.partition("=")
        named.append(_OWN_WORDS.get(name, name) + equals + value)
    return tuple(dict.fromkeys(named))
