"""
The request side of OpenAI's Responses API, as far as the gateway reads it.

Items, parts and tools are one struct each for all their kinds: the vendor adds kinds often, and an unknown one is to be
refused by its name and place, not as a shape that does not fit. Schemas and what is echoed stay raw bytes.
Source: OpenAI API reference, `POST /v1/responses`; the types of the openai SDK; what Codex 0.171 sends.
"""

from typing import Any

import msgspec

from services.gateway.wire.openai import NOTHING, Members


class Part(msgspec.Struct, gc=False):
    """A part of a message's content, of a tool's output, or of a reasoning item."""

    type: str
    text: str | None = None  # input_text, output_text, summary_text, reasoning_text
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None


class Grammar(msgspec.Struct):
    """`format` of a custom tool: plain text, or text under a grammar."""

    type: str | None = None
    syntax: str | None = None
    definition: str | None = None


class Tool(msgspec.Struct):
    """A tool the client offers."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = NOTHING
    strict: bool | None = None
    format: Grammar | None = None
    tools: "list[Tool] | None" = None  # of a namespace


class Item(msgspec.Struct):
    """An item of the input. A message need not say that it is one."""

    type: str = "message"
    role: str | None = None
    content: str | list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None  # of a custom tool's call
    output: str | list[Part] | None = None
    tools: list[Tool] | None = None  # of additional_tools


class ToolChoice(msgspec.Struct):
    """A choice that is not one word."""

    type: str
    name: str | None = None
    namespace: str | None = None
    mode: str | None = None
    tools: "list[ToolChoice] | None" = None


class Format(msgspec.Struct):
    """How the text is to be shaped."""

    type: str
    name: str | None = None
    schema: msgspec.Raw = NOTHING
    strict: bool | None = None
    description: str | None = None


class Text(msgspec.Struct):
    """`text` of a request."""

    format: Format | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct):
    """`reasoning` of a request."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None  # the older name


class StreamOptions(msgspec.Struct):
    """`stream_options` of a request."""

    include_obfuscation: bool | None = None


class ResponsesRequest(msgspec.Struct):
    """The body of a request for a response."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | str | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    include: list[str] | None = None
    metadata: Members | None = None
    store: bool | None = None
    truncation: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    # What would need a store, or work at the vendor's.
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
    prompt: Any = None
