"""
One HTTP/1.1 connection to the upstream: bytes to parser, parser to answer; request bytes to the socket.

It serves one request after the other and never two at once. Framing is llhttp's strict mode plus the checks of
`framing`. All pieces of body that one read brought are joined and delivered once, so a read that holds two hundred
events costs one call. No timer is set here: the sweeper asks `overdue`.

    state   answer   data                       EOF or reset                        left by
    idle    none     drop (nobody asked)        drop                                start
    head    set      parse; 1xx are swallowed   stale if reused and silent, or fail final head, fault
    body    set      parse, deliver             end if close-delimited, or fail     end of message, fault, drop
    dead    none     ignored                    ignored                             (nothing)

A connection is reused only after a message that ended where its framing said, with nothing after it, with the
request sent completely and with the upstream's consent (`connection`, HTTP version).
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from services.gateway.upstream.framing import check_head, has_no_body
from services.gateway.upstream.transport import (
    AnswerLimits,
    AnswerTooLarge,
    ConnectionLost,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolViolation,
    SendFailed,
    Timeouts,
    TotalTimeout,
    TransportError,
    UpstreamRequest,
)

_JOIN: Final = 64 * 1024  # a body up to this size goes out in one write with its head
_READ: Final = 64 * 1024  # bytes of one read at most; left to itself the event loop takes four times as many
_SLICE: Final = 256 * 1024  # a larger one in pieces, each only when the socket has taken the one before


def read_buffer() -> memoryview:
    """Return a buffer for reads; one serves all connections of an event loop, because it is emptied at once."""
    return memoryview(bytearray(_READ))


class Exchange(Protocol):
    """One request and what becomes of it; told of its answer by the connection that carries it."""

    request: UpstreamRequest
    deadline: float  # loop time
    paused: bool

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> None:
        """Take the final head, as it came and by name."""

    def deliver(self, data: bytes) -> None:
        """Take what one read brought of the body."""

    def complete(self, *, reusable: bool) -> None:
        """Take note that the message is complete and let go of the connection; `deliver` may come once more."""

    def finish(self) -> None:
        """Take note that everything was delivered."""

    def fail(self, error: TransportError) -> None:
        """Take note that no more will come, and drop the connection."""

    def stale(self) -> None:
        """Take note that a reused connection died without a byte of answer."""


class Keeper(Protocol):
    """Who keeps a connection while it is idle and counts it until its socket is closed."""

    def discard(self, connection: "Connection") -> None:
        """Give up an idle connection that spoke or hung up."""

    def forget(self, connection: "Connection") -> None:
        """Take note that the socket is closed."""


class Connection(asyncio.BufferedProtocol):
    """Parser callbacks and socket callbacks; entered by `start`, left through the answer or by `drop`."""

    __slots__ = (
        "_answer",
        "_body_bytes",
        "_body_open",
        "_buffer",
        "_clock",
        "_complete",
        "_ends_with_connection",
        "_fault",
        "_framing_bytes",
        "_head_bytes",
        "_headers",
        "_interim",
        "_keep",
        "_keeper",
        "_last_piece",
        "_limits",
        "_lost",
        "_parser",
        "_pieces",
        "_received",
        "_rest",
        "_since",
        "_surplus",
        "_transport",
        "_unsent",
        "_used",
        "_write_paused",
        "dead",
        "on_body",
        "stirred",
    )

    def __init__(self, keeper: Keeper, clock: Callable[[], float], buffer: memoryview | None = None) -> None:
        """`buffer` is where reads go first; connections of one event loop may share it."""
        self.dead = False  # dropped, or lost
        self._lost = False  # the event loop is done with the socket
        self.stirred = clock()  # loop time of the last read
        self._keeper = keeper
        self._clock = clock
        self._buffer = read_buffer() if buffer is None else buffer
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # httptools calls it per chunk: no Python frame for each
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Exchange | None = None
        self._limits = AnswerLimits()
        self._used = False
        self._received = 0  # bytes of the read at hand
        self._rest: memoryview | None = None
        self._write_paused = False
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._body_open = False  # the final head is complete
        self._complete = False
        self._interim = False  # inside a 1xx
        self._surplus = False  # something followed the end of the message
        self._keep = False
        self._ends_with_connection = False
        self._fault: TransportError | None = None
        self._head_bytes = 0  # of reads before the one that ended the head
        self._body_bytes = 0
        self._framing_bytes = 0
        self._last_piece = 0  # how many of `_pieces` belong to this message once it is complete
        self._unsent = 0  # what `overdue` saw outstanding the last time
        self._since = self._clock()  # loop time of the last progress of the request

    # Requests out.

    def start(self, answer: Exchange, head: bytes) -> None:
        """Write a request; the rest is callbacks."""
        if self.dead:  # it spoke or hung up before it was asked anything
            answer.fail(ConnectionLost("the upstream closed the connection before the request"))
            return
        self._reset()
        self._answer = answer
        self._limits = answer.request.limits
        body = answer.request.body
        if len(body) <= _JOIN:
            self._transport.write(head + body if body else head)
            return
        self._transport.write(head)
        self._rest = memoryview(body)
        self._pump()

    def _pump(self) -> None:
        while self._rest is not None and not self._write_paused:
            piece, rest = self._rest[:_SLICE], self._rest[_SLICE:]
            self._rest = rest if len(rest) else None
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._pump()

    def _outstanding(self) -> int:
        """Return how many bytes of the request the network has not taken yet."""
        return self._transport.get_write_buffer_size() + (0 if self._rest is None else len(self._rest))

    # Owner's calls.

    def drop(self) -> None:
        """Close the socket at once; the answer, if any, hears nothing from here."""
        self._answer = None
        self._rest = None
        self.dead = True
        if not self._lost:  # asyncio's transports do not take an abort after their end
            self._transport.abort()

    def pause_reading(self) -> None:
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        self.stirred = self._clock()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def overdue(self, now: float) -> TransportError | None:
        """Return the timeout that has run out, if one has; precise to the sweeper's interval."""
        answer = self._answer
        if answer is None:
            return None
        timeouts = answer.request.timeouts
        if now >= answer.deadline:
            return TotalTimeout(f"the upstream's answer took longer than {timeouts.total:g} s")
        if not self._body_open:
            return self._overdue_head(timeouts, now)
        if not answer.paused and now - self.stirred > timeouts.idle:
            return IdleTimeout(f"the upstream's answer stopped for {timeouts.idle:g} s")
        return None

    def _overdue_head(self, timeouts: Timeouts, now: float) -> TransportError | None:
        outstanding = self._outstanding()
        if outstanding != self._unsent:
            self._unsent = outstanding
            self._since = now
        elif outstanding and now - self._since > timeouts.write:
            return SendFailed(f"the upstream did not take the request for {timeouts.write:g} s")
        elif not outstanding and now - self._since > timeouts.first_byte:
            return FirstByteTimeout(f"no answer from the upstream within {timeouts.first_byte:g} s")
        return None

    # Socket callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint  # always the same, so that a read brings only so much (promises.md P-44, P-71)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._buffer[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        """Take what one read brought."""
        answer = self._answer
        if answer is None:
            self._keeper.discard(self)
            self.drop()
            return
        self.stirred = self._clock()
        self._received = len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._garbled(error)
        pieces = self._pieces
        if self._complete and len(pieces) > self._last_piece:
            self._surplus = True
            del pieces[self._last_piece :]
        body = b"".join(pieces)  # which is the piece itself where there is one
        pieces.clear()
        if body and self._body_open:  # written out, because nearly every read of a stream is that
            self._framing_bytes = 0
            self._body_bytes += len(body)
            if self._body_bytes > self._limits.body:
                self._complete = False
                self._fault = AnswerTooLarge(f"the body of the upstream's answer exceeds {self._limits.body} bytes")
        else:
            self._count_rest()
        if self._complete:
            self._end(answer, body)
            return
        if body and self._body_open and self._body_bytes <= self._limits.body:
            answer.deliver(body)
        if self._fault is not None and self._answer is answer:
            answer.fail(self._fault)

    def _end(self, answer: Exchange, body: bytes) -> None:
        if answer.request.method == "HEAD":
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for the body
        self._answer = None
        self._used = True
        answer.complete(reusable=self._reusable())
        if body:
            answer.deliver(body)
        answer.finish()

    def eof_received(self) -> bool:
        if self._answer is None:
            self._keeper.discard(self)
            self.drop()
        else:
            self._peer_gone(self._answer, None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.dead = self._lost = True
        del self._parser  # it refers to us, and such a pair would wait for the garbage collector
        self._keeper.forget(self)
        if self._answer is None:
            self._keeper.discard(self)
        else:
            self._peer_gone(self._answer, exc)

    def _peer_gone(self, answer: Exchange, error: Exception | None) -> None:
        if self._body_open and self._ends_with_connection and error is None:
            self._answer = None
            answer.complete(reusable=False)
            answer.finish()
        elif self._used and self._head_bytes == 0 and not self._body_open:
            self.drop()
            answer.stale()
        elif self._head_bytes == 0 and not self._body_open and self._outstanding():
            answer.fail(SendFailed("the upstream closed the connection while the request was sent"))
        elif self._body_open:
            answer.fail(ConnectionLost("the upstream closed the connection before the end of its answer"))
        else:
            answer.fail(ConnectionLost("the upstream closed the connection without an answer"))

    # Parsing.

    def _garbled(self, error: Exception) -> None:
        if self._complete:
            self._surplus = True
        elif self._fault is None:
            self._fault = ProtocolViolation(f"the upstream's answer is not valid HTTP/1.1: {error}")

    def _count_rest(self) -> None:
        """Hold the limit on what brings no body and no callback counts: unfinished heads, chunk framing, trailers."""
        limit = self._limits.headers
        if not self._body_open:
            self._head_bytes += self._received
            if self._head_bytes > limit and self._fault is None:
                self._fault = AnswerTooLarge(f"the headers of the upstream's answer exceed {limit} bytes")
            return
        self._framing_bytes += self._received
        if self._framing_bytes > limit and not self._complete and self._fault is None:
            self._fault = AnswerTooLarge("the upstream sends chunk extensions or trailers without end")

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._body_open:  # else a trailer: parsed, counted, ignored
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or self._complete or self._fault is not None:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim = True
            self._headers = []
            return
        headers = self._headers
        fields = dict(headers)
        # Only HTTP/1.1 keeps a connection that nobody mentioned, and the parser writes its version down to tell it.
        plain = b"connection" not in fields and self._parser.should_keep_alive()
        try:
            framed = check_head(
                status,
                "1.1" if plain else self._parser.get_http_version(),
                headers,
                fields,
                self._limits,
                most=self._head_bytes + self._received,
            )
        except TransportError as fault:
            self._fault = fault
            return
        self._body_open = True
        if not has_no_body(answer.request.method, status):
            self._ends_with_connection = not framed
        elif answer.request.method == "HEAD":  # llhttp does not know, and would read on for the announced body
            self._message_ends()
        answer.begin(status, headers, fields)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self._body_open and not self._complete:
            self._message_ends()

    def _message_ends(self) -> None:
        self._complete = True
        self._last_piece = len(self._pieces)
        self._keep = self._parser.should_keep_alive()

    def _reusable(self) -> bool:
        if not self._keep or self._surplus or self._ends_with_connection or self.dead or self._outstanding():
            return False
        return not self._transport.is_closing()
