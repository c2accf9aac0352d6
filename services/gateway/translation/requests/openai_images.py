"""
Images and files of an OpenAI client as Anthropic image and document blocks (translation.md A4).

Nothing is fetched and no picture is opened; a data URI is only taken apart.
"""

import base64
import binascii
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from services.gateway.wire.openai import File

Block = dict[str, Any]

_IMAGE_TYPES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ALIASES: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}
_PDF: Final = "application/pdf"
_PDF_BASE64: Final = "JVBER"  # %PDF-
_SCHEME_LENGTH: Final = 8


def image_block(url: str, dialect: Dialect, param: str) -> Block:
    """Return the block for an `image_url`: an image, or words for it, or a document when the data URI holds a PDF."""
    scheme = url[:_SCHEME_LENGTH].lower()
    if scheme.startswith("data:"):
        media_type, data = _take_apart(url, param)
        if media_type == _PDF:
            return _pdf(data, None, dialect, param)
        return _image({"type": "base64", "media_type": media_type, "data": data}, dialect, param)
    if not scheme.startswith(("http://", "https://")):
        raise TranslationError(f"{param}: only data:, http: and https: addresses are supported", param=param)
    if dialect.images and not dialect.image_urls:
        raise TranslationError(f"{param}: image addresses are not supported by this upstream; send data", param=param)
    return _image({"type": "url", "url": url}, dialect, param)


def file_block(file: File, dialect: Dialect, param: str) -> Block:
    """Return the block for a `file` part: a PDF or a text document, or an image."""
    if not file.file_data:
        what = "file_id is not supported by this upstream; send file_data" if file.file_id else "Field required"
        field = f"{param}.file_id" if file.file_id else f"{param}.file_data"
        raise TranslationError(f"{field}: {what}", param=field)
    param = f"{param}.file_data"
    if file.file_data[:5].lower() == "data:":
        media_type, data = _take_apart(file.file_data, param)
    elif file.file_data.startswith(_PDF_BASE64):
        media_type, data = _PDF, file.file_data
    else:
        raise TranslationError(f"{param}: a data: address is wanted, so that the type is known", param=param)
    if media_type == _PDF:
        return _pdf(data, file.filename, dialect, param)
    if media_type.startswith("text/"):
        return _text(data, file.filename, dialect, param)
    return _image({"type": "base64", "media_type": media_type, "data": data}, dialect, param)


def _take_apart(url: str, param: str) -> tuple[str, str]:
    """
    Return media type and base64 data of a data URI.

    `data:[<type>][;<parameter>]*[;base64],<data>` (RFC 2397); percent-encoded data is re-encoded.
    """
    head, comma, data = url.partition(",")
    media_type, *parameters = (piece.strip().lower() for piece in head[5:].split(";"))
    if "base64" in parameters:
        data = unquote(data) if "%" in data else data
        data = "".join(data.split())
    else:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    if not comma or not data:
        raise TranslationError(f"{param}: the data: address holds no data", param=param)
    return _ALIASES.get(media_type, media_type) or "text/plain", data


def _image(source: Block, dialect: Dialect, param: str) -> Block:
    if not dialect.images:
        if dialect.images_in_words:
            return {"type": "text", "text": UNSEEN_IMAGE}
        raise TranslationError(f"{param}: images are not supported by this upstream", param=param)
    if source["type"] == "base64" and source["media_type"] not in _IMAGE_TYPES:
        shown = source["media_type"][:64]
        raise TranslationError(f"{param}: type {shown!r} is not one of jpeg, png, gif, webp", param=param)
    return {"type": "image", "source": source}


def _pdf(data: str, title: str | None, dialect: Dialect, param: str) -> Block:
    if not dialect.files:
        raise TranslationError(f"{param}: document blocks are not supported by this upstream", param=param)
    return _titled({"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": data}}, title)


def _text(data: str, title: str | None, dialect: Dialect, param: str) -> Block:
    """Return a text document; where the upstream takes no documents, the same as plain text."""
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise TranslationError(f"{param}: not UTF-8 text in base64", param=param) from error
    if dialect.files:
        return _titled(
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}, title
        )
    return {"type": "text", "text": f"{title}\n\n{text}" if title else text}


def _titled(block: Block, title: str | None) -> Block:
    if title:
        block["title"] = title
    return block
