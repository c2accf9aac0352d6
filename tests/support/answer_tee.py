"""
Keeps a copy of every answer an application sends: what a client got, byte for byte, by way of ASGI or without it.

    tee = AnswerTee(app)
    ... serve `tee`, and `tee.direct(routes)` in the place of the listener's direct routes ...
    [answer] = tee.answers
"""

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.chassis.direct import DirectCycle, DirectRoute, RequestHead, Serve


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

    def direct(self, routes: Mapping[bytes, DirectRoute]) -> dict[bytes, DirectRoute]:
        """Return the routes, with a copy kept of what they send as well."""
        return {path: _TappedRoute(route, self.answers) for path, route in routes.items()}


class _TappedRoute:
    def __init__(self, route: DirectRoute, answers: list[Answer]) -> None:
        self._route = route
        self._answers = answers

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        serve = self._route.admit(head, peer)
        if serve is None:
            return None  # the application answers, which is watched too
        name, _, query = head.path.partition(b"?")
        answer = Answer(head.method.decode(), name.decode(), query, tuple(head.headers.items()))
        self._answers.append(answer)

        def tapped(cycle: DirectCycle) -> Coroutine[Any, Any, None]:
            watched: Any = _TappedCycle(cycle, answer)
            return serve(watched)

        return tapped


class _TappedCycle:
    """One request and its answer, as the route sees it."""

    def __init__(self, cycle: DirectCycle, answer: Answer) -> None:
        self._cycle = cycle
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cycle, name)

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._answer.status, self._answer.headers = status, tuple(headers)
        self._cycle.start(status, self._answer.headers)

    def write(self, data: bytes) -> bool:
        self._answer.parts.append(data)
        return self._cycle.write(data)

    def finish(self, data: bytes = b"") -> None:
        self._answer.parts.append(data)
        self._answer.whole = True
        self._cycle.finish(data)
