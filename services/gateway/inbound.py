"""One request at the edge: its headers by name, its ids, its caller. Made once, before any route is chosen."""

import os
from collections.abc import Mapping
from typing import Any

from services.gateway.downstream import Receive, Send
from services.gateway.guard import ANONYMOUS, Caller
from services.gateway.identity import uuid4_of


class Inbound:
    """An HTTP request as the server gave it; belongs to one request."""

    __slots__ = ("begun_at", "caller", "cors", "headers", "method", "path", "receive", "request_id", "send")

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send, begun_at: float) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        # Of a repeated header the last one counts; the server's guard has refused repeated credentials.
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.send = send
        self.begun_at = begun_at
        self.request_id = uuid4_of(os.urandom(16).hex()).decode()
        self.caller: Caller = ANONYMOUS
        self.cors: tuple[tuple[bytes, bytes], ...] = ()
