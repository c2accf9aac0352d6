"""
From a client's call to the upstream's body: translate if the formats differ, then apply the mutations. Pure.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.mutations import Mutation, mutate, upstream_model
from services.gateway.translation.context import ResponseContext, TranslatedRequest
from services.gateway.translation.count import count_request_tokens
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.adapted import decode_members
from services.gateway.translation.requests.answer_shape import chat_in_words, messages_in_words
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.call_inputs import with_object_inputs
from services.gateway.translation.requests.constant_thinking import chat_thinking, messages_thinking
from services.gateway.translation.requests.deferred_tools import undeferred
from services.gateway.translation.requests.depth import check_body_depth
from services.gateway.translation.requests.forced_tools import chat_unforced, messages_unforced
from services.gateway.translation.requests.late_system import without_late_system
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_spelling import respelt
from services.gateway.translation.requests.openai_to_anthropic import openai_to_anthropic
from services.gateway.translation.requests.responses_to_anthropic import responses_to_anthropic
from services.gateway.translation.requests.responses_to_openai import responses_to_openai
from services.gateway.translation.requests.unseen_parts import chat_legible
from services.gateway.wire.formats import ANTHROPIC, OPENAI, RESPONSES, WireFormat
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import Outline

_ADAPTING_CHAT: Final = (respelt, chat_legible, chat_unforced, chat_in_words, chat_thinking)
_ADAPTING_MESSAGES: Final = (
    undeferred,
    without_late_system,
    with_object_inputs,
    messages_unforced,
    messages_in_words,
    messages_thinking,
)


class Preparation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What goes upstream, and what its answer needs to be read."""

    body: bytes
    context: ResponseContext
    dropped: tuple[str, ...]
    input_tokens: int = 0  # an estimate, for the first event of a translated stream; 0: not made


class Want(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The call and where it goes, as far as the body is concerned."""

    client: WireFormat
    upstream: WireFormat
    model: str
    stream: bool
    include_usage: bool
    default_max_tokens: int
    interleaved_thinking: bool = False  # the client asked for Anthropic's beta of that name
    user_id: str | None = None
    system_blocks: tuple[str, ...] = ()


def prepare(
    body: bytes, want: Want, dialect: Dialect, limits: RequestLimits, outline: Outline | None = None
) -> Preparation:
    """
    Return the upstream's body; raises TranslationError for what cannot be sent without changing its meaning.

    `outline` is what has been read of the body already; it saves reading that again.
    """
    model = upstream_model(want.model)
    if want.client is want.upstream:
        return _passed(body, want, dialect, limits, model, outline)
    if want.client is ANTHROPIC:
        translated = anthropic_to_openai(
            body, dialect, upstream_model=model, limits=limits, interleaved_thinking=want.interleaved_thinking
        )
    else:
        translated = _from_openai(body, want, dialect, limits, model, outline)
    if translated.finished:
        mutation = Mutation(system_blocks=want.system_blocks)
    else:
        mutation = Mutation(
            cache_breakpoint=want.upstream is ANTHROPIC,
            user_id=want.user_id,
            system_blocks=want.system_blocks,
        )
    return Preparation(
        body=_mutated(translated.body, want.upstream, mutation, None),
        context=translated.context,
        dropped=translated.dropped,
        input_tokens=_estimate(body, want),
    )


def _passed(
    body: bytes, want: Want, dialect: Dialect, limits: RequestLimits, model: str, outline: Outline | None
) -> Preparation:
    """Prepare what is in the upstream's format already."""
    check_body_depth(body, limits.json_depth, outline)
    body, outline, dropped = _adapted(body, want.upstream, dialect, outline)
    mutation = Mutation(
        model=None if model == want.model else model,
        include_usage=want.stream and want.upstream is OPENAI and dialect.stream_options,
        cache_breakpoint=want.upstream is ANTHROPIC,
        user_id=want.user_id,
        system_blocks=want.system_blocks,
    )
    return Preparation(
        body=_mutated(body, want.upstream, mutation, outline),
        context=ResponseContext(requested_model=want.model, stream=want.stream, include_usage=want.include_usage),
        dropped=dropped,
    )


def _adapted(
    body: bytes, upstream: WireFormat, dialect: Dialect, outline: Outline | None
) -> tuple[bytes, Outline | None, tuple[str, ...]]:
    """Say in the upstream's way what it does not know in the client's, although both speak the same format."""
    dropped: tuple[str, ...] = ()
    may_differ = _may_differ_chat if upstream is OPENAI else _may_differ_messages
    if outline is None and not may_differ(body, dialect):
        return body, outline, dropped  # most small ones need not be read for it
    try:
        read = outline or Outline(body, decode_members(body), blocks=upstream is not OPENAI)
        for adapt in _ADAPTING_CHAT if upstream is OPENAI else _ADAPTING_MESSAGES:
            found = adapt(read, dialect)
            if found is not None:
                body, outline = found.outline.body, found.outline
                read, dropped = outline, (*dropped, *found.dropped)
    except BROKEN:  # the upstream says what is wrong with it
        pass
    return body, outline, dropped


def _may_differ_chat(body: bytes, dialect: Dialect) -> bool:
    """Say whether a step of `_ADAPTING_CHAT` may have something to do; written out, as small requests are counted."""
    if b'"tool_choice"' in body or b'"response_format"' in body:
        return True
    if not dialect.thinking_can_be_disabled and (b'"thinking"' in body or b'"reasoning_effort"' in body):
        return True
    if b'"text"' in body or b'"image_url"' in body:  # parts
        return True
    return b'"developer"' in body or b'"max_completion_tokens"' in body


def _may_differ_messages(body: bytes, dialect: Dialect) -> bool:
    """The same of `_ADAPTING_MESSAGES`; who chooses a tool has some."""
    if b'"tools"' in body or b'"output_config"' in body or b'"output_format"' in body or b'"tool_use"' in body:
        return True
    if not dialect.thinking_can_be_disabled and b'"thinking"' in body:
        return True
    return body.count(b'"system"') != body.count(b'"system":')  # a role, and not the prompt


def _from_openai(
    body: bytes, want: Want, dialect: Dialect, limits: RequestLimits, model: str, outline: Outline | None
) -> TranslatedRequest:
    """Translate what came in one of OpenAI's two APIs."""
    if want.client is RESPONSES and want.upstream is OPENAI:
        return responses_to_openai(body, dialect, upstream_model=model, limits=limits, outline=outline)
    most = want.default_max_tokens
    if want.client is RESPONSES:
        return responses_to_anthropic(
            body, dialect, upstream_model=model, default_max_tokens=most, limits=limits, outline=outline
        )
    return openai_to_anthropic(
        body,
        dialect,
        upstream_model=model,
        default_max_tokens=most,
        limits=limits,
        outline=outline,
        finish=True,
        user_id=want.user_id,
    )


def _estimate(body: bytes, want: Want) -> int:
    """Count ahead for Anthropic clients, whose context display shows the first event's count until the last one."""
    return count_request_tokens(body) if want.stream and want.client is ANTHROPIC else 0


def _mutated(body: bytes, upstream: WireFormat, mutation: Mutation, outline: Outline | None) -> bytes:
    try:
        return mutate(body, upstream, mutation, outline)
    except BROKEN:
        raise TranslationError(
            "messages: each message must be an object with a role and a content", param="messages"
        ) from None
