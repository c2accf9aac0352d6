"""The server spans of a service that our own processes call: only calls that carry a trace are part of one."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from services.chassis.tracing import TRACEPARENT, Sampler, Sink, begun, current, received, step

_HEADER: Final = TRACEPARENT.encode()

App = Callable[[Any, Any, Any], Awaitable[None]]


class TracedApp:
    """An ASGI application around another one. Paths become span names, so put it around fixed paths only."""

    def __init__(self, app: App, sink: Sink, sampler: Sampler) -> None:
        self._app = app
        self._sink = sink
        self._sampler = sampler

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a request, within the caller's trace if it names one."""
        header = next((value for name, value in scope.get("headers", ()) if name == _HEADER), None)
        remote = None if header is None else received(header.decode("latin-1"))
        if remote is None:
            await self._app(scope, receive, send)
            return
        above = begun(self._sink, self._sampler, remote)
        above.span_id = remote.span_id  # the caller's own span, of which ours is a part
        token = current.set(above)
        try:
            with step(f"{scope['method']} {scope['path']}", "server"):
                await self._app(scope, receive, send)
        finally:
            current.reset(token)
