"""
The options of an OpenAI request for an Anthropic upstream (translation.md A3).

Every function takes the request and returns what belongs into the upstream's body; hints that are lost are noted.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, Thinking
from services.gateway.translation.effort import to_anthropic_thinking
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.answer_shape import ONE_OBJECT, valid_under
from services.gateway.translation.requests.depth import check_depth
from services.gateway.translation.requests.openai_messages import OutMessage
from services.gateway.wire.openai import ChatRequest, JsonSchemaFormat

Body = dict[str, Any]

_NOTHING_SAID: Final = frozenset({b"null", b"false", b"0", b"0.0", b"{}", b"[]", b'""'})
_DEFAULTS: Final = {
    "service_tier": {b'"auto"', b'"default"'},
    "verbosity": {b'"medium"'},
    "prompt_cache_retention": {b'"in_memory"', b'"in-memory"'},
}
_UNSAID: Final = (None,) * 6
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_UNKNOWN: Final = 24  # names of unknown fields that a response header is given

_ANTHROPIC_HOTTEST: Final = 1.0
_MOST_BREAKPOINTS: Final = 4
_UNCACHEABLE: Final = frozenset({"thinking", "redacted_thinking"})


def refuse_unsupported(request: ChatRequest) -> None:
    """Refuse what would change the answer's shape and cannot be had from an Anthropic upstream (0.1.1)."""
    audio, search = request.audio, request.web_search_options
    if (request.n, request.logprobs, request.top_logprobs, request.modalities, audio, search) == _UNSAID:
        return
    wrong: tuple[tuple[str, bool, str], ...] = (
        ("n", request.n not in {None, 1}, "only 1 is supported by this upstream"),
        ("logprobs", bool(request.logprobs), "log probabilities are not supported by this upstream"),
        ("top_logprobs", bool(request.top_logprobs), "log probabilities are not supported by this upstream"),
        ("modalities", bool(set(request.modalities or ()) - {"text"}), "only text is supported by this upstream"),
        ("audio", audio is not None, "audio is not supported by this upstream"),
        ("web_search_options", search is not None, "web search is not supported by this upstream"),
    )
    for param, is_wrong, why in wrong:
        if is_wrong:
            raise TranslationError(f"{param}: {why}", param=param)


_READ: Final = frozenset(ChatRequest.__struct_fields__)


def unknown_fields(fields: Mapping[str, msgspec.Raw], known: frozenset[str] = _READ) -> list[str]:
    """Return the names of the members that say something and that nobody here reads; `known` are those read."""
    if fields.keys() <= known:
        return []
    names = [
        name
        for name, value in fields.items()
        if name not in known and (said := bytes(value)) not in _NOTHING_SAID and said not in _DEFAULTS.get(name, ())
    ]
    if not names:
        return names
    return list(dict.fromkeys(name if _PRINTABLE.fullmatch(name) else "unprintable" for name in names[:_MOST_UNKNOWN]))


def max_tokens(request: ChatRequest, default: int) -> int:
    """Return the limit of the answer; `max_completion_tokens` wins (B118)."""
    for param in ("max_completion_tokens", "max_tokens"):
        value: int | None = getattr(request, param)
        if value is None:
            continue
        if value < 1:
            raise TranslationError(f"{param}: must be at least 1", param=param)
        return value
    return default


def thinking(
    request: ChatRequest, dialect: Dialect, limit: int, messages: Sequence[OutMessage], dropped: list[str]
) -> Body:
    """
    Return `thinking` and `output_config`, or nothing.

    A `thinking` object that the client sent itself goes through as it is, beside an effort, unless it turns off what
    cannot be: that is effort none. Where the upstream verifies signatures and the last answer's tool calls have lost
    their thinking, thinking is turned off, because the request would be refused (A8.3).
    """
    effort = request.reasoning_effort
    if effort is None and request.reasoning is None and request.thinking is None:
        return {}
    param = "reasoning_effort"
    if effort is None and request.reasoning is not None:
        effort, param = request.reasoning.effort, "reasoning.effort"
        if effort is None:
            dropped.append("reasoning")
    asked = request.thinking
    if asked is not None and not dialect.thinking_can_be_disabled and _text(asked.get("type", "")) == "disabled":
        asked, effort = None, "none"
    told = to_anthropic_thinking(dialect, effort=effort, max_tokens=limit, param=param)
    block: Body | None = None
    if asked is not None and dialect.thinking is not Thinking.NONE:
        block = dict(asked)
        dropped += told.dropped if told.effort is not None else [param] * (effort is not None)
    else:
        dropped += told.dropped
        if request.thinking is not None:
            dropped.append("thinking")
        if told.thinking is not None:
            block = {"type": told.thinking}
        if block is not None and told.budget_tokens is not None:
            block["budget_tokens"] = told.budget_tokens
    if thinks(block) and dialect.verify_signatures and _lost_thinking(messages):
        block = {"type": "disabled"}
        dropped.append("thinking" if request.thinking is not None else param)
    out: Body = {} if block is None else {"thinking": block}
    if told.effort is not None:
        out["output_config"] = {"effort": told.effort}
    return out


def thinks(block: Body | None) -> bool:
    """Say whether a thinking object turns thinking on."""
    return block is not None and _text(block.get("type", "disabled")) != "disabled"


def _text(value: str | msgspec.Raw) -> str:
    """Return a string that may still be raw; other raw values give the empty string."""
    if isinstance(value, str):
        return value
    return msgspec.json.decode(value, type=str) if bytes(value).startswith(b'"') else ""


def _lost_thinking(messages: Sequence[OutMessage]) -> bool:
    """Say whether the last assistant message has tool calls and no thinking before them."""
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    if last is None:
        return False
    calls = any(isinstance(block, dict) and block["type"] == "tool_use" for block in last.content)
    first = last.content[0]
    return calls and isinstance(first, dict) and first["type"] not in {"thinking", "redacted_thinking"}


def sampling(request: ChatRequest, dialect: Dialect, *, thinking_on: bool, dropped: list[str]) -> Body:
    """Return temperature, top_p and top_k within the upstream's range; a value that was moved is noted (B106)."""
    out: Body = {}
    hottest = min(_ANTHROPIC_HOTTEST, dialect.temperature_max)
    if request.temperature is not None:
        _within("temperature", request.temperature, 2)
        out["temperature"] = _moved("temperature", request.temperature, 0.0, hottest, dropped)
    if request.top_p is not None:
        _within("top_p", request.top_p, 1)
        out["top_p"] = _moved("top_p", request.top_p, dialect.top_p_min, 1.0, dropped)
    if request.top_k is not None:
        if dialect.top_k:
            out["top_k"] = request.top_k
        else:
            dropped.append("top_k")
    if thinking_on and dialect.thinking in {Thinking.EFFORT, Thinking.BUDGET}:
        # Claude takes temperature 1 only while it thinks, and neither of the others.
        if out.pop("temperature", 1.0) != 1.0:
            dropped.append("temperature")
        dropped += [name for name in ("top_p", "top_k") if out.pop(name, None) is not None]
    return out


def _within(param: str, value: float, most: int) -> None:
    if not 0 <= value <= most:
        raise TranslationError(f"{param}: must be between 0 and {most}", param=param)


def _moved(name: str, value: float, least: float, most: float, dropped: list[str]) -> float:
    moved = min(max(value, least), most)
    if moved != value:
        dropped.append(f"{name}={moved:g}")
    return moved


def stop_sequences(request: ChatRequest, dialect: Dialect) -> tuple[list[str], list[str]]:
    """Return the sequences for the upstream, and those that have to be scanned for because it takes no more (B109)."""
    if not request.stop:
        return [], []
    given = [request.stop] if isinstance(request.stop, str) else request.stop
    sequences = [sequence for sequence in given if sequence]
    if any(sequence.isspace() for sequence in sequences):
        raise TranslationError("stop: a stop sequence must not be white space alone", param="stop")
    limit = len(sequences) if dialect.stop_limit is None else dialect.stop_limit
    return sequences[:limit], sequences[limit:]


def metadata(request: ChatRequest, dialect: Dialect, dropped: list[str]) -> Body:
    """
    Return `metadata.user_id`: the client's own, else `safety_identifier`, else `user`.

    One of a length that the upstream does not take is sent as its hash.
    """
    given = request.metadata
    if not given and not request.safety_identifier and not request.user:
        return {}
    given = given or {}
    if given.keys() - {"user_id"}:
        dropped.append("metadata")
    candidates = {
        "metadata.user_id": _text(given.get("user_id", "")),
        "safety_identifier": request.safety_identifier,
        "user": request.user,
    }
    name, user = next(((name, value) for name, value in candidates.items() if value), ("", ""))
    if not user:
        return {}
    if dialect.user_field is None:
        dropped.append(name)
        return {}
    if not dialect.user_id_min <= len(user) <= dialect.user_id_max:
        user = hashlib.sha256(user.encode()).hexdigest()
    return {"metadata": {"user_id": user}}


def answer_format(request: ChatRequest, dialect: Dialect, dropped: list[str], *, depth: int) -> tuple[Body, str | None]:
    """
    Return `output_config.format`, or a line for the system prompt where the upstream has no such thing.

    The trick with a forced tool is not used: GLM takes only tool_choice auto (A3).
    """
    wanted = request.response_format
    if wanted is None or wanted.type == "text":
        return {}, None
    if wanted.type == "json_schema":
        schema = _schema(wanted.json_schema, depth)
        if dialect.json_schema:
            return {"format": {"type": "json_schema", "schema": schema}}, None
        dropped.append("response_format")
        return {}, valid_under(schema)
    if wanted.type == "json_object":
        dropped.append("response_format")
        return {}, ONE_OBJECT
    param = "response_format.type"
    raise TranslationError(f"{param}: {wanted.type[:64]!r} is not one of text, json_object, json_schema", param=param)


def _schema(wanted: JsonSchemaFormat | None, depth: int) -> msgspec.Raw:
    param = "response_format.json_schema.schema"
    if wanted is None or not bytes(wanted.schema).startswith(b"{"):
        raise TranslationError(f"{param}: a JSON Schema object is wanted", param=param)
    check_depth(bytes(wanted.schema), depth, param)
    return wanted.schema


def spare_breakpoints(blocks: Iterable[Body], *, taken: int, dropped: list[str]) -> None:
    """Leave at most four cache breakpoints, the last ones; `taken` are set elsewhere."""
    marked = [block for block in blocks if "cache_control" in block]
    surplus = len(marked) + taken - _MOST_BREAKPOINTS
    for block in marked[: max(0, surplus)]:
        del block["cache_control"]
        dropped.append("cache_control")


def mark_last_block(messages: Sequence[OutMessage], marks: int) -> None:
    """Set a breakpoint at the end of the conversation, unless the client did or all are used; `marks`: how many are."""
    last = next((message for message in reversed(messages) if message.role != "system"), None)
    if last is None or marks >= _MOST_BREAKPOINTS:
        return
    block = last.content[-1]
    if isinstance(block, dict) and block["type"] not in _UNCACHEABLE and "cache_control" not in block:
        block["cache_control"] = {"type": "ephemeral"}


def settle_prefill(messages: list[OutMessage], dialect: Dialect, *, thinking_on: bool, param: str) -> None:
    """Make a trailing assistant message one that the upstream goes on from: without white space at its end (B124)."""
    last = messages[-1]
    if last.role != "assistant":
        return
    if not dialect.prefill:
        raise TranslationError(f"{param}: prefill is not supported by this upstream", param=param)
    if thinking_on:
        raise TranslationError(f"{param}: prefill is not supported while thinking is on", param=param)
    while last.content and isinstance(block := last.content[-1], dict) and block["type"] == "text":
        block["text"] = block["text"].rstrip()
        if block["text"]:
            break
        last.content.pop()
    if not last.content:
        messages.pop()
    if not messages:
        raise TranslationError(f"{param}: must not be empty", param=param)
