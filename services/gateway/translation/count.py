"""
An estimate of how many tokens an Anthropic request is, without asking anybody.

It serves `POST /v1/messages/count_tokens` and the usage in `message_start`. It is meant to err a little on the high
side: agents compact their history on it, and one that compacts late fails. The weights were fitted to o200k and cl100k
over prose, code, logs, tables and seven other scripts: ordinary agent traffic comes out at 1.0 to 1.3 times the real
count; long runs of digits or base64 within text come out lower.
"""

from typing import Final

import msgspec

from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.reading import read

# Characters of ASCII text to a token: words and white space, then digits and punctuation.
_WORDS: Final = 4.5
_MARKS: Final = 1.45
# Other text by its UTF-8: so that a letter of 2 bytes is 0.45 tokens, one of 3 bytes (CJK) 0.75, one of 4 bytes 1.05.
_CHARACTER: Final = 0.15
_CONTINUATION_BYTE: Final = 0.3

_REQUEST_OVERHEAD: Final = 10
_MESSAGE: Final = 5
_BLOCK: Final = 3
_CALL: Final = 15
_TOOL: Final = 10
_TOOL_PROMPT: Final = 200  # what a model is told about tools at all
_IMAGE: Final = 1600  # the most that one picture costs; its size would have to be decoded to know better
_DOCUMENT: Final = 3000  # one whose contents are elsewhere
_PDF_BYTES: Final = 25  # base64 characters of a PDF to a token, about 2,000 tokens a page of 50 KB
_ENCRYPTED: Final = 5  # characters of redacted thinking to a token

_LETTERS_AND_SPACE: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \n\r\t"
_ASCII: Final = bytes(range(128))


class _Block(msgspec.Struct, gc=False):
    """Any content block: the fields of all of them that hold something to be counted."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    name: str | None = None
    title: str | None = None
    context: str | None = None
    data: str | None = None
    url: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")
    content: "str | list[_Block] | _Block | None" = None
    source: "str | _Block | None" = None


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Block]


class _OutputConfig(msgspec.Struct, gc=False):
    format: msgspec.Raw = msgspec.Raw(b"")


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message]
    system: str | list[_Block] | None = None
    tools: list[msgspec.Raw] | None = None
    output_config: _OutputConfig | None = None


_REQUEST: Final = msgspec.json.Decoder(_Request)


def count_request_tokens(body: bytes) -> int:
    """Estimate the input tokens of a Messages request; `max_tokens` need not be there. Raises TranslationError."""
    request = read(_REQUEST, body)
    if not request.model:
        raise TranslationError("model: Field required", param="model")
    if not request.messages:
        raise TranslationError("messages: at least one message is required", param="messages")
    tally = _Tally()
    for message in request.messages:
        tally.add(message.content)
    tally.add(request.system)
    tally.raw += [bytes(tool) for tool in request.tools or ()]
    if request.output_config is not None:
        tally.raw.append(bytes(request.output_config.format))
    fixed = _REQUEST_OVERHEAD + _MESSAGE * len(request.messages)
    if request.tools:
        fixed += _TOOL_PROMPT + _TOOL * len(request.tools)
    return fixed + tally.total()


def count_text_tokens(text: bytes) -> float:
    """Estimate the tokens of a UTF-8 text."""
    words = len(text)
    other = 0.0
    if not text.isascii():
        characters = len(text.decode())
        outside = len(text.translate(None, _ASCII))  # bytes
        continuation = len(text) - characters
        other = _CHARACTER * (outside - continuation) + _CONTINUATION_BYTE * continuation
        words -= outside
        text = text.decode("ascii", "ignore").encode()
    marks = len(text.translate(None, _LETTERS_AND_SPACE))
    return (words - marks) / _WORDS + marks / _MARKS + other


class _Tally:
    """Collects texts, to be counted in one go, and what else costs tokens."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []
        self._texts: list[str] = []
        self._fixed = 0

    def total(self) -> int:
        """Return the tokens, rounded up."""
        text = "".join(self._texts).encode() + b"".join(self.raw)
        return int(count_text_tokens(text)) + 1 + self._fixed

    def add(self, content: str | list[_Block] | _Block | None) -> None:
        """Take some content. Not recursive: how deep a client nests its content is not bounded here."""
        waiting = [content]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                self._texts.append(item)
            elif isinstance(item, _Block):
                self._fixed += _BLOCK
                waiting.append(self._block(item))
            elif item is not None:
                waiting += item

    def _block(self, block: _Block) -> str | list[_Block] | _Block | None:
        """Take what a block says itself, and return the content that it holds."""
        if block.type == "image":
            self._fixed += _IMAGE
            return None
        if block.type == "redacted_thinking":
            self._fixed += len(block.data or "") // _ENCRYPTED
            return None
        self._texts += [text for text in (block.text, block.thinking, block.title, block.context, block.name) if text]
        if block.input:
            self._fixed += _CALL
            self.raw.append(bytes(block.input))
        if isinstance(block.source, str):
            self._texts.append(block.source)
        elif block.source is not None:
            return self._document(block.source)
        return block.content

    def _document(self, source: _Block) -> str | list[_Block] | _Block | None:
        match source.type:
            case "text":
                return source.data
            case "content":
                return source.content
            case "base64":
                self._fixed += len(source.data or "") // _PDF_BYTES
            case _:
                self._fixed += _DOCUMENT
        return None
