"""A raw ASGI application that reads what it is sent, remembers it and says 200."""

import asyncio
from typing import Any

import msgspec


class Seen(msgspec.Struct):
    """One request as an application got it."""

    method: str
    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = False  # the body came to its end


class RecordingApp:
    """Answers `ok` to everything; `/stream` answers when `release` is set, `/slow` streams until then."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.release = asyncio.Event()

    @property
    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        seen = Seen(scope["method"], scope["path"], scope["headers"])
        self.seen.append(seen)
        if scope["path"] == "/slow":
            await self._stream(send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        seen.body, seen.whole = bytes(body), True
        if scope["path"] == "/held":
            await self.release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async def _stream(self, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin ", "more_body": True})
        await self.release.wait()
        await send({"type": "http.response.body", "body": b"end", "more_body": False})
