"""Anthropic content blocks as OpenAI content parts and texts. Knows blocks, not conversations."""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.names import ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.deferred_tools import available
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from services.gateway.wire.anthropic import (
    Base64Source,
    ContentSource,
    DocumentBlock,
    FileSource,
    ImageBlock,
    ResultContent,
    SearchResultBlock,
    ServerToolResult,
    TextBlock,
    TextSource,
)

Part = dict[str, Any]
"""A part of an OpenAI message's content."""


class _Source(msgspec.Struct, frozen=True):
    """What a search result or a fetched page says of itself; every field may be missing."""

    title: str | None = None
    url: str | None = None
    text: str | None = None
    stdout: str | None = None


_SOURCES: Final = msgspec.json.Decoder(list[_Source] | _Source | str | None)


def text_part(text: str) -> Part:
    """Return a part of plain text."""
    return {"type": "text", "text": text}


def _text_parts(text: str) -> list[Part]:
    """Return no part for no text: upstreams refuse empty ones."""
    return [text_part(text)] if text else []


class Blocks:
    """Turns one request's blocks into parts, and remembers which hints were lost on the way."""

    def __init__(self, dialect: Dialect, names: ToolNames, model: str, dropped: list[str]) -> None:
        self._dialect = dialect
        self._names = names
        self._model = model
        self._dropped = dropped

    def part(self, block: ResultContent, path: str) -> list[Part]:
        """Return the parts that stand for a block; none for an empty text. `path` is the block's own."""
        if block.cache_control is not None:
            self._dropped.append("cache_control")
        if isinstance(block, TextBlock):
            return _text_parts(block.text)
        if isinstance(block, ImageBlock):
            return [self._image(block, path)]
        if isinstance(block, DocumentBlock):
            return self._document(block, path)
        if isinstance(block, SearchResultBlock):
            self._citations(block.citations)
            return _text_parts(_lines(block.title, block.source, *(item.text for item in block.content)))
        return _text_parts(available(self._names.upstream(block.tool_name)))

    def _image(self, block: ImageBlock, path: str) -> Part:
        if block.transformations:
            self._dropped.append("image.transformations")
        if not self._dialect.images:
            return self._unseen(path)
        source = block.source
        if isinstance(source, FileSource):
            raise _files_unavailable(path)
        if isinstance(source, Base64Source):
            url = f"data:{source.media_type};base64,{source.data}"
        elif self._dialect.image_urls:
            url = source.url
        else:
            raise self._unsupported("image URLs", f"{path}.source")
        return {"type": "image_url", "image_url": {"url": url}}

    def _document(self, block: DocumentBlock, path: str) -> list[Part]:
        self._citations(block.citations)
        source = block.source
        if isinstance(source, TextSource):
            return _text_parts(_lines(block.title, block.context, source.data))
        if isinstance(source, ContentSource):
            inner = source.content
            blocks = [TextBlock(text=inner)] if isinstance(inner, str) else inner
            parts = _text_parts(_lines(block.title, block.context))
            for position, item in enumerate(blocks):
                parts += self.part(item, f"{path}.source.content.{position}")
            return parts
        if isinstance(source, Base64Source):
            if not self._dialect.files:
                raise self._unsupported("document blocks", path)
            name = block.title or "document.pdf"
            data = f"data:{source.media_type};base64,{source.data}"
            return [{"type": "file", "file": {"filename": name, "file_data": data}}]
        if isinstance(source, FileSource):
            raise _files_unavailable(path)
        raise self._unsupported("document URLs", f"{path}.source")

    def _citations(self, citations: Any) -> None:
        if isinstance(citations, dict) and citations.get("enabled"):
            self._dropped.append("citations")

    def _unseen(self, path: str) -> Part:
        """Return what stands for an image that the model cannot see: agents send it again with every turn."""
        if not self._dialect.images_in_words:
            raise self._unsupported("image blocks", path)
        self._dropped.append("messages.image")
        return text_part(UNSEEN_IMAGE)

    def _unsupported(self, what: str, path: str) -> TranslationError:
        return TranslationError(f"{path}: {what} are not supported by model {self._model}", param=path)


def server_result_text(block: ServerToolResult) -> str:
    """Return the titles and addresses that a tool on Anthropic's side found, one a line; empty if it has none."""
    try:
        found = _SOURCES.decode(block.content) if block.content else None
    except msgspec.DecodeError:
        return ""
    if isinstance(found, str):
        return found
    sources = found if isinstance(found, list) else [found] if found else []
    lines = (": ".join(filter(None, (item.title, item.url, item.text, item.stdout))) for item in sources)
    return "\n".join(filter(None, lines))


def _files_unavailable(path: str) -> TranslationError:
    param = f"{path}.source"
    return TranslationError(f"{param}: file sources are not available on this upstream", param=param)


def _lines(*texts: str | None) -> str:
    return "\n".join(filter(None, texts))
