"""
Token counts in both vendors' words (translation.md A9).

OpenAI's `prompt_tokens` includes what was read from and written to the cache, Anthropic's `input_tokens` excludes it.
A number that is not a whole number, negative or absurd counts as not said.
"""

from typing import Annotated, Any, Final

import msgspec

from services.gateway.translation.streams.events import Usage

_encode: Final = msgspec.json.encode
_ABSURD: Final = 1 << 53  # beyond what a JSON number carries exactly
_NOTHING: Final = Usage()


TokenCount = Annotated[int, msgspec.Meta(ge=0, lt=_ABSURD)]
_Said = TokenCount | None


class _Prompt(msgspec.Struct, gc=False):
    cached_tokens: _Said = None
    cache_write_tokens: _Said = None


class _Completion(msgspec.Struct, gc=False):
    reasoning_tokens: _Said = None


class _Thinking(msgspec.Struct, gc=False):
    thinking_tokens: _Said = None


class OpenAICounts(msgspec.Struct, gc=False):
    """A `usage` object whose every number is one."""

    prompt_tokens: _Said = None
    completion_tokens: _Said = None
    prompt_cache_hit_tokens: _Said = None
    prompt_tokens_details: _Prompt | None = None
    completion_tokens_details: _Completion | None = None

    def usage(self) -> Usage | None:
        """Return what it says; None where that is nothing."""
        prompt, details, completion = self.prompt_tokens, self.prompt_tokens_details, self.completion_tokens_details
        read = write = None
        if details is not None:
            read, write = details.cached_tokens, details.cache_write_tokens
        if read is None:
            read = self.prompt_cache_hit_tokens
        found = Usage(
            input=None if prompt is None else max(0, prompt - (read or 0) - (write or 0)),
            cache_read=read,
            cache_write=write,
            output=self.completion_tokens,
            reasoning=None if completion is None else completion.reasoning_tokens,
        )
        return None if found == _NOTHING else found


class AnthropicCounts(msgspec.Struct, gc=False):
    """A `usage` object whose every number is one."""

    input_tokens: _Said = None
    cache_read_input_tokens: _Said = None
    cache_creation_input_tokens: _Said = None
    output_tokens: _Said = None
    output_tokens_details: _Thinking | None = None

    def usage(self, before: Usage | None = None) -> Usage | None:
        """Return what it says over what was said before: a number overwrites. None where nothing has been said."""
        details = self.output_tokens_details
        found = Usage(
            input=self.input_tokens,
            cache_read=self.cache_read_input_tokens,
            cache_write=self.cache_creation_input_tokens,
            output=self.output_tokens,
            reasoning=None if details is None else details.thinking_tokens,
        )
        if before is not None:
            found = _over(found, before)
        return None if found == _NOTHING else found


def read_openai(usage: Any) -> Usage | None:
    """Read a `usage` object; None where there is nothing in it."""
    if not isinstance(usage, dict):
        return None
    try:
        counts = msgspec.convert(usage, OpenAICounts)
    except msgspec.ValidationError:
        counts = _odd_openai(usage)
    return counts.usage()


def _odd_openai(usage: dict[str, Any]) -> OpenAICounts:
    details, completion = _object(usage, "prompt_tokens_details"), _object(usage, "completion_tokens_details")
    return OpenAICounts(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        prompt_cache_hit_tokens=_count(usage, "prompt_cache_hit_tokens"),
        prompt_tokens_details=_Prompt(_count(details, "cached_tokens"), _count(details, "cache_write_tokens")),
        completion_tokens_details=_Completion(_count(completion, "reasoning_tokens")),
    )


def read_anthropic(usage: Any, before: Usage | None) -> Usage | None:
    """
    Read a `usage` object over what was said before: a number overwrites, a missing one keeps the earlier.

    GLM's first count is an estimate that the last one replaces, so the two are never added.
    """
    if not isinstance(usage, dict):
        return before
    try:
        counts = msgspec.convert(usage, AnthropicCounts)
    except msgspec.ValidationError:
        counts = _odd_anthropic(usage)
    return counts.usage(before)


def _odd_anthropic(usage: dict[str, Any]) -> AnthropicCounts:
    return AnthropicCounts(
        input_tokens=_count(usage, "input_tokens"),
        cache_read_input_tokens=_count(usage, "cache_read_input_tokens"),
        cache_creation_input_tokens=_count(usage, "cache_creation_input_tokens"),
        output_tokens=_count(usage, "output_tokens"),
        output_tokens_details=_Thinking(_count(_object(usage, "output_tokens_details"), "thinking_tokens")),
    )


def write_openai(usage: Usage) -> bytes:
    """Return the `usage` object for an OpenAI client."""
    read, write, output = usage.cache_read or 0, usage.cache_write or 0, usage.output or 0
    prompt = (usage.input or 0) + read + write
    body: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
    }
    if usage.reasoning is not None:
        body["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return _encode(body)


def write_anthropic(usage: Usage, input_tokens_estimate: int = 0) -> bytes:
    """Return the `usage` object for an Anthropic client; the estimate stands in while the upstream has said nothing."""
    body: dict[str, Any] = {
        "input_tokens": input_tokens_estimate if usage.input is None else usage.input,
        "cache_creation_input_tokens": usage.cache_write or 0,
        "cache_read_input_tokens": usage.cache_read or 0,
        "output_tokens": usage.output or 0,
    }
    if usage.reasoning is not None:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return _encode(body)


def _count(body: dict[str, Any], name: str) -> int | None:
    value = body.get(name)
    return value if type(value) is int and 0 <= value < _ABSURD else None  # a bool is an int to isinstance


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _over(said: Usage, before: Usage) -> Usage:
    return Usage(
        input=_first(said.input, before.input),
        cache_read=_first(said.cache_read, before.cache_read),
        cache_write=_first(said.cache_write, before.cache_write),
        output=_first(said.output, before.output),
        reasoning=_first(said.reasoning, before.reasoning),
    )


def _first(said: int | None, otherwise: int | None) -> int | None:
    return otherwise if said is None else said
