"""
The server's end of one ASGI request, in memory: hands out what the client sends, keeps what it is sent.

    end = AsgiEnd("POST", "/v1/messages", body=b"{}", headers={"x-api-key": "k"})
    await app(end.scope, end.receive, end.send)
    assert 200 == end.status
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from services.chassis.process import Tasks
from services.gateway.downstream import AsgiDownstream
from services.gateway.inbound import Inbound

_DISCONNECT = {"type": "http.disconnect"}


class AsgiEnd:
    """One request and its answer. After its body the client is silent until `leave`."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        body: bytes | tuple[bytes, ...] = b"",
        headers: Mapping[str, str] | None = None,
        client: tuple[str, int] | None = ("127.0.0.1", 1),
    ) -> None:
        raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "headers": raw,
            "client": client,
            "server": ("127.0.0.1", 80),
            "asgi": {"version": "3.0"},
            "state": {},
        }
        pieces = body if isinstance(body, tuple) else (body,)
        self._messages = [
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        ]
        self._left = asyncio.Event()
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.whole = False

    def inbound(self, begun_at: float = 0.0) -> Inbound:
        """Return the request as a hot route of the gateway gets it."""
        inbound = Inbound(self.scope["method"], self.scope["path"], dict(self.scope["headers"]), begun_at)
        inbound.client = AsgiDownstream(self.receive, self.send, Tasks())
        return inbound

    async def receive(self) -> dict[str, Any]:
        """Give the next piece of the request, or wait until the client leaves."""
        if self._messages:
            return self._messages.pop(0)
        await self._left.wait()
        return dict(_DISCONNECT)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            assert not self.status, "an answer starts once"
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
            return
        assert self.status, "a body comes after its head"
        assert not self.whole, "nothing comes after the end"
        self.parts.append(message.get("body", b""))
        self.whole = not message.get("more_body", False)

    def leave(self) -> None:
        """Hang up; a request that is not whole yet never will be."""
        self._messages.clear()
        self._left.set()

    @property
    def body(self) -> bytes:
        return b"".join(self.parts)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return the first value of an answer's header."""
        return next((value.decode() for key, value in self.headers if key == name.encode()), None)
