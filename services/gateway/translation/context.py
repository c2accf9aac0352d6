"""What the answer's side of a translation must remember of the request's side."""

from collections.abc import Mapping

import msgspec


class ShownTool(msgspec.Struct, frozen=True):
    """What a Responses client calls a tool whose name the upstream knows otherwise."""

    name: str
    namespace: str | None = None
    custom: bool = False  # its input is plain text: the one string of the arguments


class ResponsesContext(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer to a Responses client must know besides."""

    echo: bytes  # the members of the response object that repeat the request: JSON without the braces
    shown: Mapping[str, ShownTool] = {}  # by the name that stands for them in events
    summary: bool = False  # reasoning is shown as a summary, else as it is
    encrypted: bool = False  # reasoning.encrypted_content was asked for


class ResponseContext(msgspec.Struct, frozen=True, kw_only=True):
    """One per request, made by the request translator, read by readers and writers."""

    requested_model: str  # echoed to the client, whatever the upstream calls it
    stream: bool = False
    include_usage: bool = False  # OpenAI clients: stream_options.include_usage
    tool_names: Mapping[str, str] = {}  # upstream's name -> client's, only for names that had to change
    stop_sequences: tuple[str, ...] = ()  # those the upstream was not told, to be scanned for in the text
    legacy_functions: bool = False  # OpenAI clients that sent `functions`: answer with function_call
    inline_think_tags: bool = False  # from the dialect
    verify_signatures: bool = False  # from the dialect
    responses: ResponsesContext | None = None  # Responses clients


class TranslatedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The upstream's body, the hints that could not be honoured, and the context for the answer."""

    body: bytes
    context: ResponseContext
    finished: bool = False  # cache breakpoint and user id are as they go upstream
    dropped: tuple[
        str, ...
    ] = ()  # field names, for x-zcode-dropped-params; `temperature=1` style where a value was changed
