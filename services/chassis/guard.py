"""
The guard: uvicorn's parser protocol with the limits and deadlines that uvicorn does not have (promises.md C16).

One `GuardProtocol` is one client connection. `phase` is where its *input* stands:

    phase   event                                    next
    HEAD    head complete, a body follows            BODY
    HEAD    head complete, nothing follows           DONE
    HEAD    head malformed, too large, too slow      LINGER, or as below while an answer is under way
    BODY    body complete, answer not                DONE
    BODY    body complete, answer too                IDLE
    BODY    too large, badly framed, too slow        LINGER, or as below
    DONE    answer complete                          IDLE
    DONE    first byte of a pipelined request        HEAD
    IDLE    a request whose head is known, whole     DONE
    IDLE    first byte of another next request       HEAD
    IDLE    keep-alive over                          closed
    LINGER  client done sending, or time over        closed

A new connection is in HEAD, so that one that says nothing has the header deadline too. A refused connection is deaf:
nothing more of it is parsed, so a second request smuggled behind a bad one is never seen. If an answer to an earlier
request is under way, the refusal is silent and the connection ends with that answer: an error written into the middle
of it would be taken for part of it. If the answer to the refused request itself has begun, the connection is reset.
While it lingers, a refused client's bytes are read and dropped, because a connection closed with unread bytes is
reset, and the client might then never see why.

No phase has a timer. `Sweeper` calls `look` on every connection a few times a second.

uvicorn's private names used here: cycle, pipeline, flow, tasks, _start_asgi_task, and RequestResponseCycle's fields.
uvicorn is pinned to one minor version for that reason; tests/component/guard is the alarm.
"""

import asyncio
import urllib.parse
from typing import Any, Final

import httptools
from uvicorn._types import HTTPScope
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from services.chassis.corked import CorkedTransport
from services.chassis.direct import DirectCycle, RequestHead, Serve
from services.chassis.http_guard.head import BARE, Head, examine, too_large
from services.chassis.http_guard.limits import Refusal
from services.chassis.http_guard.repeated import RepeatedHead, learn
from services.chassis.http_guard.timed import BODY, DONE, HEAD, IDLE, LINGER, Guard, TimedProtocol

_LESSONS: Final = 4  # heads of one connection that are learnt; a client whose heads differ each time teaches no more
_PIPELINE_PAUSE: Final = 4  # waiting requests beyond which no more are read
_MALFORMED: Final = "The request is not well-formed HTTP/1.1."

AnyCycle = RequestResponseCycle | DirectCycle


class GuardProtocol(TimedProtocol):
    """One client connection; see the module's theory of operation."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(guard, config, server_state, app_state, loop)
        self.running: AnyCycle | None = None  # the request being answered; `cycle` is the one parsed last
        self.direct: DirectCycle | None = None  # `cycle`, if it is one that is served without ASGI
        self.asked: RequestHead | None = None  # what the last one of these began with
        self.head = BARE
        self.head_bytes = 0  # of an unfinished head
        self.payload = 0
        self.untaken = 0  # of a body that the parser leaves to us, see _take_body
        self.ended = False  # a message ended within the current read
        self.repeated: RepeatedHead | None = None  # what this client's requests begin with
        self.lessons = 0  # how often that was learnt

    # The connection's events

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(CorkedTransport(transport, self.guard.cork, self.loop, self.tasks))
        self.since = self.loop.time()
        if len(self.connections) > self.limits.connections:
            self.guard.refusals["connections"] += 1
            self.deaf = True
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        # uvicorn tells the request that was parsed last; with pipelining that is not the one being answered.
        self.pipeline.clear()
        running = self.running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        whole = self.phase == IDLE or not self.begun
        if whole and self.repeated is not None and self._take_repeated(data, self.repeated):
            return
        self.ended = False
        try:
            if self.untaken:
                self._take_body(data)
            else:
                self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._take_body(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._stopped(error)
        else:
            if self.phase == HEAD:
                self._count_head(len(data))
            elif self.phase == BODY:
                self._count_body(len(data))
            elif whole and self.direct is not None and self.lessons < _LESSONS:
                self._learn(data)

    def _take_repeated(self, data: bytes, known: RepeatedHead) -> bool:
        """Serve a request whose head is known, past the parser, which stands between two messages before and after."""
        body = known.body(data)
        if body is None:
            return False
        serve = known.route.admit(known.head, self.client[0] if self.client else None)
        if serve is None:
            return False
        cycle = self._begin_directly(serve, keep_alive=not self.guard.closing)
        cycle.take(body)
        cycle.more_body = False
        self.phase = DONE
        cycle.begin()
        return True

    def _learn(self, data: bytes) -> None:
        head, asked = self.head, self.asked
        if self.phase != DONE or asked is None or not self.cycle.keep_alive or not head.length:
            return
        self.lessons += 1
        route = self.guard.direct[asked.path]
        self.repeated = learn(data, asked, length=head.length, limit=head.limit, route=route)

    def _stopped(self, error: Exception) -> None:
        # What a callback raised comes out of the parser as the context of the parser's own error.
        refusal = error.__context__
        if isinstance(refusal, Refusal):
            self.refuse(refusal.status, refusal.message)
        else:
            self.refuse(400, _MALFORMED)

    def _count_head(self, size: int) -> None:
        # A read in which an earlier message ended says nothing of this head's size.
        if not self.ended:
            self.head_bytes += size
        if not self.headers and self.head_bytes > self.limits.request_line:
            self.refuse(414, f"The request line is longer than {self.limits.request_line} bytes.")
        elif self.head_bytes > self.limits.headers + self.limits.request_line:
            self.refuse(431, f"The headers are longer than {self.limits.headers} bytes.")

    def _count_body(self, size: int) -> None:
        self.received += size
        if self.head.chunked and self.received > 3 * self.payload + self.limits.framing_slack:
            self.refuse(400, "The chunks of the body are too small.")

    # The parser's events

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= self.limits.pipelined:
            raise Refusal(429, "Too many requests wait on this connection.")
        self.url = b""
        self.headers = []
        self.begun = True
        self.phase = HEAD
        self.since = self.loop.time()
        self.head_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers are dropped: they would join the headers after those have been checked.
        if not self.phase:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, url = self.parser, self.url
        method, version = parser.get_method(), parser.get_http_version()
        single = dict(self.headers)
        head = self.head = examine(method, url, version, self.headers, single, self.limits)
        keep_alive = version == "1.1" and not self.guard.closing and parser.should_keep_alive()
        if head is not BARE:
            keep_alive = self._await_body(head) and keep_alive
        cycle: Any = self.cycle  # None until the first request, whatever its declaration says
        free = cycle is None or cycle.response_complete or cycle.disconnected
        self.direct = None
        if free and self.guard.direct and self._served_directly(method, url, single, keep_alive=keep_alive):
            return
        self.cycle = RequestResponseCycle(
            self._scope(method, url, version),
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,  # no access log: it would double the cost of a small request
            self.server_state.default_headers,
            asyncio.Event(),
            head.expects,
            keep_alive,
            self.on_response_complete,
        )
        if free:
            self.running = self.cycle
            self._start_asgi_task(self.cycle, self.app)
            return
        self.pipeline.appendleft((self.cycle, self.app))
        if len(self.pipeline) > _PIPELINE_PAUSE:
            # Not for the first few: a connection that is not read from does not notice that its client is gone.
            self.flow.pause_reading()

    def _served_directly(self, method: bytes, url: bytes, headers: dict[bytes, bytes], *, keep_alive: bool) -> bool:
        """Make a cycle without ASGI, if there is a route for that and it admits the request."""
        path = url.partition(b"?")[0]
        route = self.guard.direct.get(path)
        head = self.head
        if route is None or head.expects or head.upgrade:  # rare ways to begin, which the application's cycle knows
            return False
        headers.pop(b"content-length", None)
        self.asked = RequestHead(method, path, headers)
        serve = route.admit(self.asked, self.client[0] if self.client else None)
        if serve is None:
            return False
        _ = self._begin_directly(serve, keep_alive=keep_alive)
        return True

    def _begin_directly(self, serve: Serve, *, keep_alive: bool) -> DirectCycle:
        cycle = DirectCycle(
            serve, self.transport, self.flow, self.tasks, self.loop, self.on_response_complete, keep_alive=keep_alive
        )
        self.cycle = cycle  # type: ignore[assignment]  # it has what the protocol uses of one
        self.running = self.direct = cycle
        return cycle

    def _scope(self, method: bytes, url: bytes, version: str) -> HTTPScope:
        path, _, query = url.partition(b"?")
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme or "http",
            "method": method.decode("ascii"),
            "root_path": "",
            "path": urllib.parse.unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def _await_body(self, head: Head) -> bool:
        """Prepare for what follows the head; returns whether another request may follow that."""
        self.phase = BODY
        if self.head_bytes:  # the head did not come in one piece, so its time is not the body's
            self.since = self.loop.time()
        self.received = self.payload = 0
        if head.upgrade and self.parser.should_upgrade():
            self.untaken = head.length
            return False
        return True

    def on_body(self, body: bytes) -> None:
        self.payload += len(body)
        if self.payload > self.head.limit:
            raise too_large(self.head.limit)
        if self.direct is not None:
            self.direct.take(body)
            return
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self.untaken:
            return
        self.ended = True
        cycle = self.cycle
        if cycle.response_complete:
            self.phase = IDLE
            self.since = self.loop.time()
            return
        self.phase = DONE
        cycle.more_body = False
        if self.direct is not None:
            self.direct.begin()
        else:
            cycle.message_event.set()

    def _take_body(self, data: bytes) -> None:
        """
        Take the body of a request that offered another protocol.

        The parser takes everything behind such a head for that other protocol, but we ignore the offer (Java's
        HttpClient makes it on every first request), so its body, whose length is declared, is ours to read. What
        follows the body is dropped: such a request is its connection's last.
        """
        if self.untaken:
            piece = data[: self.untaken]
            self.untaken -= len(piece)
            self.received += len(piece)
            if piece:
                self.on_body(piece)
            if self.untaken:
                return
            self.on_message_complete()
        self.deaf = True

    # The answer's events

    def resume_writing(self) -> None:
        super().resume_writing()
        if isinstance(self.running, DirectCycle):
            self.running.drained()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self.running, app = self.pipeline.pop()
            self._start_asgi_task(self.running, app)
        elif self.deaf:
            self.transport.close()
        elif self.phase == DONE:
            self.phase = IDLE
            self.since = self.loop.time()

    # Refusing

    def refuse(self, status: int, message: str, *, linger: bool = True) -> None:
        """Take no more of this connection, and say why where that cannot be mistaken for another answer."""
        if self.deaf:
            return
        self.deaf = True
        self.guard.refusals[str(status)] += 1
        if self.phase == BODY and not self._abandon(self.cycle):
            return
        cycle: Any = self.cycle
        if cycle is not None and not (cycle.response_complete or cycle.disconnected):
            return  # on_response_complete closes
        self._write_refusal(status, message)
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
            self.phase = LINGER
            self.since = self.loop.time()
        else:
            self.transport.close()

    def _abandon(self, cycle: RequestResponseCycle) -> bool:
        """Take a request back whose body is not coming; returns whether its refusal may be written now."""
        if self.direct is not None:
            self.direct.drop_body()
        else:
            cycle.body = bytearray()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            return False
        if cycle.response_complete:
            self.transport.close()
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self.transport.abort()
            return False
        return True

    def _write_refusal(self, status: int, message: str) -> None:
        path = self.url.partition(b"?")[0]
        headers, body = self.guard.error_writer(path, status, message)
        lines = [STATUS_LINE[status]]
        lines += [b"%b: %b\r\n" % header for header in headers]
        lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
        if self.parser.get_method() != b"HEAD":
            lines.append(body)
        self.transport.write(b"".join(lines))
