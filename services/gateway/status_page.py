"""`/status` on the admin port: one small page, kept up to date by server-sent events, that loads nothing else."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
from litestar import Response, get
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from services.gateway.status import Status

_PAGE: Final = (Path(__file__).parent / "status_page.html").read_text()
_EVERY: Final = 1.0  # seconds between two events
_MOST: Final = 16  # pages that are kept up to date at once


def _hashes(tag: str) -> str:
    """Return what the policy allows of a kind of inline text: exactly what is on the page."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in found)


HEADERS: Final = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def status_routes(status: Status, *, every: float = _EVERY, most: int = _MOST) -> tuple[ControllerRouterHandler, ...]:
    """Return the page, its events, and the same once as JSON."""
    open_pages = 0

    @get("/status", sync_to_thread=False)
    def page() -> Response[str]:
        """Show what goes on."""
        return Response(_PAGE, media_type="text/html; charset=utf-8", headers=HEADERS)

    @get("/status.json", sync_to_thread=False)
    def document() -> Response[bytes]:
        """Say what goes on, once."""
        return Response(msgspec.json.encode(status.view()), media_type="application/json", headers=HEADERS)

    async def events() -> AsyncIterator[bytes]:
        nonlocal open_pages
        open_pages += 1
        try:
            while True:
                yield b"data: " + msgspec.json.encode(status.view()) + b"\n\n"
                await asyncio.sleep(every)
        finally:
            open_pages -= 1

    @get("/status/events")
    async def stream() -> Response[bytes] | Stream:
        """Say what goes on, again and again."""
        if open_pages >= most:
            return Response(b"too many pages are open", status_code=503, media_type="text/plain")
        return Stream(events(), media_type="text/event-stream", headers=HEADERS)

    return page, document, stream
