"""
The request side of the Anthropic Messages dialect, as far as a decision depends on it.

Tool input, schemas and long literals stay `msgspec.Raw`: they are passed on byte for byte. Fields that are only ever
dropped are `Any` with a default, so that an unexpected shape in them never fails a request. Events and answers are
elsewhere (`anthropic_events`).
"""

from typing import Any

import msgspec

NOTHING = msgspec.Raw(b"")  # a raw field that is not there


class CacheControl(msgspec.Struct, frozen=True, gc=False):
    """A cache breakpoint; what it says beyond being there is of no use outside Anthropic."""


class _Block(msgspec.Struct, frozen=True, gc=False, kw_only=True, tag_field="type"):
    cache_control: CacheControl | None = None


class Base64Source(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="base64"):
    """Bytes in the request."""

    media_type: str
    data: str


class UrlSource(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="url"):
    """An address that the server is to fetch."""

    url: str


class FileSource(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="file"):
    """A file uploaded to Anthropic."""

    file_id: str


class TextSource(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="text"):
    """A document that is plain text."""

    data: str
    media_type: str = "text/plain"


class TextBlock(_Block, frozen=True, tag="text"):
    text: str
    citations: Any = None


class ImageBlock(_Block, frozen=True, tag="image"):
    source: Base64Source | UrlSource | FileSource
    transformations: Any = None


class ContentSource(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="content"):
    """A document made of blocks."""

    content: str | list[TextBlock | ImageBlock]


class DocumentBlock(_Block, frozen=True, tag="document"):
    source: Base64Source | TextSource | ContentSource | UrlSource | FileSource
    title: str | None = None
    context: str | None = None
    citations: Any = None


class SearchResultBlock(_Block, frozen=True, tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]
    citations: Any = None


class ToolReferenceBlock(_Block, frozen=True, tag="tool_reference"):
    """Inside a tool result: a deferred tool has been found."""

    tool_name: str


ResultContent = TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock


class ToolResultBlock(_Block, frozen=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[ResultContent] | None = None
    is_error: bool | None = None


class RawResultBlock(_Block, frozen=True, tag="tool_result"):
    """The same as it stands in a body: most of what agents send is in the strings of such, and stays as it is."""

    tool_use_id: str
    content: msgspec.Raw = NOTHING  # what a ToolResultBlock has
    is_error: bool | None = None


class ToolUseBlock(_Block, frozen=True, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class ThinkingBlock(_Block, frozen=True, tag="thinking"):
    thinking: str
    signature: str | None = None


class RedactedThinkingBlock(_Block, frozen=True, tag="redacted_thinking"):
    pass


class ServerToolUseBlock(_Block, frozen=True, tag="server_tool_use"):
    """A tool that ran on Anthropic's side in an earlier turn."""


class McpToolUseBlock(_Block, frozen=True, tag="mcp_tool_use"):
    pass


class _ServerToolResult(_Block, frozen=True):
    content: msgspec.Raw = NOTHING


class WebSearchResultBlock(_ServerToolResult, frozen=True, tag="web_search_tool_result"):
    pass


class WebFetchResultBlock(_ServerToolResult, frozen=True, tag="web_fetch_tool_result"):
    pass


class CodeExecutionResultBlock(_ServerToolResult, frozen=True, tag="code_execution_tool_result"):
    pass


class BashExecutionResultBlock(_ServerToolResult, frozen=True, tag="bash_code_execution_tool_result"):
    pass


class EditorExecutionResultBlock(_ServerToolResult, frozen=True, tag="text_editor_code_execution_tool_result"):
    pass


class ToolSearchResultBlock(_ServerToolResult, frozen=True, tag="tool_search_tool_result"):
    pass


class McpToolResultBlock(_ServerToolResult, frozen=True, tag="mcp_tool_result"):
    pass


ServerToolResult = (
    WebSearchResultBlock
    | WebFetchResultBlock
    | CodeExecutionResultBlock
    | BashExecutionResultBlock
    | EditorExecutionResultBlock
    | ToolSearchResultBlock
    | McpToolResultBlock
)

_OtherBlock = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ToolUseBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ServerToolUseBlock
    | McpToolUseBlock
    | ServerToolResult
)
RawBlock = _OtherBlock | RawResultBlock
ContentBlock = RawBlock | ToolResultBlock


class Message(msgspec.Struct, frozen=True, gc=False):
    """One turn; roles are checked by who reads it, to say which are known."""

    role: str
    content: str | list[_OtherBlock | ToolResultBlock]


class RawMessage(msgspec.Struct, frozen=True, gc=False):
    """The same as it stands in a body."""

    role: str
    content: str | list[RawBlock]


class Tool(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A tool of the client's, or one that runs on Anthropic's side: then `type` says which."""

    type: str | None = None
    name: str | None = None
    description: msgspec.Raw = NOTHING
    input_schema: msgspec.Raw = NOTHING
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: Any = None
    eager_input_streaming: Any = None
    allowed_callers: Any = None
    input_examples: Any = None


class ToolChoice(msgspec.Struct, frozen=True, gc=False):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct, frozen=True, gc=False):
    type: str
    budget_tokens: int | None = None


class OutputFormat(msgspec.Struct, frozen=True, gc=False):
    type: str
    schema: msgspec.Raw = NOTHING


class OutputConfig(msgspec.Struct, frozen=True, gc=False):
    effort: str | None = None
    format: OutputFormat | None = None


class MessagesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /v1/messages`, and of `count_tokens`, which has no `max_tokens`."""

    model: str
    messages: list[RawMessage]
    max_tokens: int | None = None
    system: str | list[TextBlock] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    metadata: dict[str, msgspec.Raw] | None = None
    tools: msgspec.Raw = NOTHING  # list[Tool] | None; agents send the same ones each time
    tool_choice: ToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None
    container: Any = None
    mcp_servers: Any = None
    service_tier: Any = None
    speed: Any = None
    cache_control: Any = None
    context_management: Any = None
    inference_geo: Any = None
    diagnostics: Any = None
    user_profile_id: Any = None
    workspace_id: Any = None
    betas: Any = None
    anthropic_version: Any = None


class KnownMessagesRequest(MessagesRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, refusing fields we do not know: tried first, since knowing that there are none costs nothing then."""
