"""
The request side of OpenAI Chat Completions, as far as the gateway reads it.

Schemas and tool arguments stay raw bytes. Unknown fields are skipped here; the translator finds them by name. The
extras at the end are what clients send to Anthropic routes through `extra_body`.
Source: OpenAI API reference, `POST /v1/chat/completions`; translation.md A3-A5.
"""

from typing import Any

import msgspec

NOTHING = msgspec.Raw(b"")
"""A raw field that was absent."""

Members = dict[str, msgspec.Raw]
"""An object of which a member or two are read and the others passed on."""


class TextPart(msgspec.Struct, gc=False, tag_field="type", tag="text"):
    text: str
    cache_control: Members | None = None


class RefusalPart(msgspec.Struct, gc=False, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(msgspec.Struct, gc=False):
    url: str
    detail: str | None = None


class ImagePart(msgspec.Struct, gc=False, tag_field="type", tag="image_url"):
    image_url: ImageUrl | str
    cache_control: Members | None = None


class File(msgspec.Struct, gc=False):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class FilePart(msgspec.Struct, gc=False, tag_field="type", tag="file"):
    file: File
    cache_control: Members | None = None


UserPart = TextPart | ImagePart | FilePart


class SystemMessage(msgspec.Struct, tag_field="role", tag="system"):
    content: str | list[TextPart]
    name: Any = None
    cache_control: Members | None = None


class DeveloperMessage(SystemMessage, tag_field="role", tag="developer"):
    """The newer name of a system message."""


class UserMessage(msgspec.Struct, tag_field="role", tag="user"):
    content: str | list[UserPart]
    name: Any = None
    cache_control: Members | None = None


class FunctionCall(msgspec.Struct, gc=False):
    """`arguments` is a string of JSON text; some clients put the object itself there."""

    name: str
    arguments: msgspec.Raw = NOTHING


class ToolCall(msgspec.Struct):
    id: str | None = None
    type: str | None = "function"
    function: FunctionCall | None = None


class ThinkingBlock(msgspec.Struct, gc=False, tag_field="type", tag="thinking"):
    """An Anthropic thinking block that the client was given and hands back (`thinking_blocks`)."""

    thinking: str
    signature: str = ""


class RedactedThinkingBlock(msgspec.Struct, gc=False, tag_field="type", tag="redacted_thinking"):
    data: str


class AssistantMessage(msgspec.Struct, tag_field="role", tag="assistant"):
    content: str | list[TextPart | RefusalPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    reasoning_content: Any = None
    reasoning: Any = None  # some servers' name for the same
    thinking_blocks: list[ThinkingBlock | RedactedThinkingBlock] | None = None
    name: Any = None
    audio: Any = None
    cache_control: Members | None = None


ResultContent = str | list[UserPart] | None


class ToolMessage(msgspec.Struct, tag_field="role", tag="tool"):
    content: msgspec.Raw = NOTHING  # ResultContent; most of what agents send is in such strings, and stays as it is
    tool_call_id: str | None = None
    cache_control: Members | None = None


class FunctionMessage(msgspec.Struct, tag_field="role", tag="function"):
    """The result of a legacy function call."""

    name: str
    content: str | None = None


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage


class Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = NOTHING
    strict: bool | None = None
    cache_control: Members | None = None


class Tool(msgspec.Struct):
    type: str
    function: Function | None = None
    cache_control: Members | None = None


class NamedFunction(msgspec.Struct, gc=False):
    name: str


class AllowedTool(msgspec.Struct):
    type: str = "function"
    function: NamedFunction | None = None


class AllowedTools(msgspec.Struct):
    mode: str
    tools: list[AllowedTool]


class ToolChoice(msgspec.Struct):
    type: str
    function: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None


class JsonSchemaFormat(msgspec.Struct):
    schema: msgspec.Raw = NOTHING
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchemaFormat | None = None


class StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Reasoning(msgspec.Struct, gc=False):
    effort: str | None = None


class ChatRequest(msgspec.Struct):
    """The body of a chat completion request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: Any = None
    web_search_options: Any = None
    response_format: ResponseFormat | None = None
    tools: msgspec.Raw = NOTHING  # list[Tool] | None; agents send the same ones each time
    tool_choice: ToolChoice | str | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Function] | None = None
    function_call: NamedFunction | str | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Members | None = None
    # Extras for Anthropic routes.
    top_k: int | None = None
    thinking: Members | None = None
    cache_control: Members | None = None
