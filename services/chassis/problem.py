"""RFC 9457 problem documents: how a process reports an error where no dialect of a vendor applies."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeAlias

import msgspec

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

ErrorWriter: TypeAlias = Callable[[bytes, int, str], tuple[Headers, bytes]]
"""(raw path without its query, status, message for the client) -> (headers without length and framing, body)."""


def title_of(status: int) -> str:
    """Return the registered phrase of a status code, or "Error" for one that is not registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem(status: int, detail: str, *, code: str | None = None, page: str | None = None) -> bytes:
    """Return a problem document; `code` is our own name for the failure, `page` where a person can mend it."""
    document: dict[str, object] = {"type": "about:blank", "title": title_of(status), "status": status, "detail": detail}
    if code is not None:
        document["code"] = code
    if page is not None:
        document["page"] = page
    return msgspec.json.encode(document)


def write_problem(raw_path: bytes, status: int, message: str) -> tuple[Headers, bytes]:
    """Write an error the same way on every path: the default `ErrorWriter`."""
    del raw_path
    return [(b"content-type", b"application/problem+json")], problem(status, message)
