"""
Keeps a copy of every answer an ASGI application sends: what a client got, byte for byte.

    tee = AnswerTee(app)
    ... serve `tee` ...
    [answer] = tee.answers
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """One request and what came back, so far."""

    method: str
    path: str
    query: bytes
    request_headers: tuple[tuple[bytes, bytes], ...]
    status: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = ()
    parts: list[bytes] = field(default_factory=list)
    whole: bool = False  # the last part was sent

    @property
    def body(self) -> bytes:
        """All that was sent of the body, in the coding it was sent in."""
        return b"".join(self.parts)

    @property
    def is_event_stream(self) -> bool:
        """Whether the answer says that it is one."""
        return (self.header(b"content-type") or b"").startswith(b"text/event-stream")

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of an answer's header; `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class AnswerTee:
    """An ASGI application around another one; `answers` is in the order in which requests came."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.answers: list[Answer] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = Answer(scope["method"], scope["path"], scope["query_string"], tuple(scope["headers"]))
        self.answers.append(answer)

        async def copied(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": list(message.get("headers", ()))}  # it may be an iterator
                answer.status, answer.headers = message["status"], tuple(message["headers"])
            else:
                answer.parts.append(message.get("body", b""))
                answer.whole = not message.get("more_body", False)
            await send(message)

        await self._app(scope, receive, copied)
