"""
The front door of the data port: one plain ASGI function in front of the framework.

It knows the caller before anything else happens (default deny), serves the hot routes itself, and hands the rest to
Litestar. A mount inside the framework costs 20 us more per request (performance.md 6.2; decision 5).
Authorises on the path as the server decoded it, matched as an exact string, never on a rebuilt URL.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import msgspec

from services.chassis.direct import DirectCycle, DirectRoute, Headers, RequestHead, Serve
from services.chassis.process import Tasks
from services.gateway.cors import Cors
from services.gateway.downstream import AsgiDownstream, Message, Receive, Send
from services.gateway.guard import ClientKeys, peer_of, presented_key
from services.gateway.inbound import Inbound, Wishes, wishes_of
from services.gateway.rescue import dialect_of_path, fault_of_exception, write_error
from services.gateway.translation.own_faults import bad_request, method_not_allowed

HotRoute = Callable[[Inbound], Coroutine[Any, Any, None]]
Framework = Callable[[Any, Any, Any], Awaitable[None]]

_PROBED: Final = ("GET", "HEAD")  # Claude Code asks for `/` to see whether somebody is there


class _Known(msgspec.Struct, frozen=True, gc=False):
    """What a head says to this gateway, whoever says it and how often."""

    key: bytes | None
    cors: tuple[tuple[bytes, bytes], ...]
    wishes: Wishes


class Entry:
    """The ASGI application of the data port."""

    def __init__(
        self,
        hot: Mapping[str, HotRoute],
        framework: Framework,
        keys: ClientKeys,
        cors: Cors,
        tasks: Tasks,
        *,
        allowed_hosts: tuple[str, ...] = (),
    ) -> None:
        self.hot = hot
        self._framework = framework
        self._keys = keys
        self._cors = cors
        self._tasks = tasks
        self._hosts = frozenset(host.encode("ascii") for host in allowed_hosts)

    def direct(self) -> Mapping[bytes, DirectRoute]:
        """Return the hot routes for a listener that serves them without ASGI."""
        return {path.encode("ascii"): _DirectRoute(self, path, route) for path, route in self.hot.items()}

    def admitted(self, path: str, head: RequestHead, peer: str | None) -> Inbound | None:
        """Return a request whose caller is known; None for one that `__call__` has to refuse, in its own words."""
        begun_at = time.monotonic()
        headers = head.headers
        if self._hosts and headers.get(b"host") not in self._hosts:
            return None
        try:
            known: _Known | None = head.memo
            if known is None:
                known = head.memo = self._read(headers)
            caller = self._keys.caller_of(known.key, peer)
        except Exception:  # noqa: BLE001  # whatever it is, `__call__` meets it again and writes an answer
            return None
        inbound = Inbound("POST", path, headers, begun_at, known.wishes)
        inbound.caller = caller
        inbound.cors = known.cors
        return inbound

    def _read(self, headers: Headers) -> _Known:
        return _Known(presented_key(headers), self._cors.answer_headers(headers), wishes_of(headers))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request or the server's lifespan."""
        if scope["type"] != "http":
            await self._framework(scope, receive, send)
            return
        inbound = Inbound(scope["method"], scope["path"], dict(scope["headers"]), time.monotonic())
        inbound.client = AsgiDownstream(receive, send, self._tasks)
        inbound.cors = self._cors.answer_headers(inbound.headers)
        if await self._answered_without_key(inbound):
            return
        try:
            inbound.caller = self._keys.caller_of(presented_key(inbound.headers), peer_of(scope))
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            self._refuse(inbound, error)
            return
        route = self.hot.get(inbound.path)
        if route is None:
            scope.setdefault("state", {})["inbound"] = inbound
            if inbound.method == "HEAD":  # as GET; the server leaves the body out
                scope = {**scope, "method": "GET"}
            await self._framework(scope, receive, _stamped(send, inbound))
        elif inbound.method != "POST":
            fault = method_not_allowed(inbound.method, inbound.path, ("POST",))
            self._write(inbound, fault, ((b"allow", b"POST, OPTIONS"),))
        else:
            await route(inbound)

    async def _answered_without_key(self, inbound: Inbound) -> bool:
        if self._hosts and inbound.headers.get(b"host") not in self._hosts:
            self._write(inbound, bad_request("This Host is not served here.", code="unknown_host", status=421), ())
        elif inbound.method == "OPTIONS":
            self._empty(inbound, 204, self._cors.preflight_headers(inbound.headers))
        elif inbound.path == "/" and inbound.method in _PROBED:
            self._empty(inbound, 200, ((b"content-length", b"0"), *inbound.cors))
        else:
            return False
        return True

    def _empty(self, inbound: Inbound, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        client = inbound.client
        client.start(status, [*_ids(inbound), *headers])
        client.finish()

    def _refuse(self, inbound: Inbound, error: Exception) -> None:
        self._write(inbound, fault_of_exception(error, inbound.request_id), ())

    def _write(self, inbound: Inbound, fault: Any, extra: tuple[tuple[bytes, bytes], ...]) -> None:
        dialect = dialect_of_path(inbound.path, inbound.headers)
        write_error(inbound.client, dialect, fault, inbound.request_id, (*inbound.cors, *extra))


class _DirectRoute:
    """A hot route as the listener's guard sees it."""

    def __init__(self, entry: Entry, path: str, route: HotRoute) -> None:
        self._entry = entry
        self._path = path
        self._route = route

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        """Admit a POST of a known caller."""
        if head.method != b"POST":
            return None
        inbound = self._entry.admitted(self._path, head, peer)
        if inbound is None:
            return None
        route = self._route

        def serve(client: DirectCycle) -> Coroutine[Any, Any, None]:
            inbound.client = client
            return route(inbound)

        return serve


def _ids(inbound: Inbound) -> tuple[tuple[bytes, bytes], ...]:
    request_id = inbound.request_id.encode()
    return (b"x-request-id", request_id), (b"request-id", request_id)


def _stamped(send: Send, inbound: Inbound) -> Send:
    """Add the request's ids and CORS headers to what the framework answers."""
    stamp = [*_ids(inbound), *inbound.cors]

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [pair for pair in message["headers"] if pair[0] not in (b"x-request-id", b"request-id")]
            message = {**message, "headers": [*kept, *stamp]}
        await send(message)

    return stamped
