"""
What a Messages request asks of the model besides the conversation, for an OpenAI upstream (translation.md A1).

Each function returns the fields of the upstream's body; hints that are lost are noted.
"""

import hashlib
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.anthropic_messages import Conversation
from services.gateway.translation.requests.anthropic_tools import stubs
from services.gateway.wire.anthropic import MessagesRequest

_STRING: Final = msgspec.json.Decoder(str | None)


def sampling(request: MessagesRequest, dialect: Dialect, dropped: list[str]) -> dict[str, Any]:
    """Return temperature, top_p and top_k within the upstream's range; a value that was moved is noted."""
    fields: dict[str, Any] = {}
    temperature = request.temperature
    if temperature is not None:
        if temperature > dialect.temperature_max:
            temperature = dialect.temperature_max
            dropped.append(f"temperature={temperature:g}")
        if temperature <= 0 and dialect.zero_temperature_is_do_sample:
            fields["do_sample"] = False
        else:
            fields["temperature"] = temperature
    if request.top_p is not None:
        top_p = min(max(request.top_p, dialect.top_p_min), 1.0)
        if top_p != request.top_p:
            dropped.append(f"top_p={top_p:g}")
        fields["top_p"] = top_p
    if request.top_k is not None:
        if dialect.top_k:
            fields["top_k"] = request.top_k
        else:
            dropped.append("top_k")
    return fields


def user(request: MessagesRequest, dialect: Dialect, dropped: list[str]) -> dict[str, Any]:
    """Return who the end user is: hashed when it does not fit, or when it is Claude Code's record of the device."""
    metadata = request.metadata or {}
    if metadata.keys() - {"user_id"}:
        dropped.append("metadata")
    try:
        user = _STRING.decode(metadata.get("user_id", b"null"))
    except msgspec.DecodeError as error:
        message = "metadata.user_id: Input should be a valid string"
        raise TranslationError(message, param="metadata.user_id") from error
    if not user:
        return {}
    if dialect.user_field is None:
        dropped.append("metadata.user_id")
        return {}
    fits = dialect.user_id_min <= len(user) <= dialect.user_id_max
    if not fits or user.startswith("{"):
        user = hashlib.sha256(user.encode()).hexdigest()
    return {dialect.user_field: user}


def stubs_of(conversation: Conversation, dialect: Dialect) -> dict[str, Any]:
    """Return definitions of the tools that only the history knows, for an upstream that wants them."""
    if dialect.tool_calls_without_tools or not conversation.called:
        return {}
    return stubs(list(dict.fromkeys(conversation.called)), dialect)
