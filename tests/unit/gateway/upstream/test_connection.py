"""Any bytes, split anywhere: an answer is read as it was framed, or refused, and the slot always comes back."""

import asyncio
import itertools
from typing import Self

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.upstream.answer import PooledAnswer
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.pool import OriginPool
from services.gateway.upstream.transport import Origin, TransportError
from tests.support.raw_upstream import answer, chunked
from tests.support.transport_client import Collector, ask

ORIGIN = Origin("http", "upstream.test", 80)


class Wire(asyncio.Transport):
    """Takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Bench:
    """A pool of one connection without a network or a clock."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.pool = OriginPool(ORIGIN, 1)
        self.wire = Wire()
        self.connection = Connection(self.pool, lambda: 0.0)
        self.connection.connection_made(self.wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.close()

    def ask(self) -> PooledAnswer:
        got = PooledAnswer(self.pool, ask(ORIGIN), deadline=1.0)
        assert self.pool.enter(got)
        got.connection = self.connection
        got.arrival = self.loop.create_future()
        self.connection.start(got, b"HEAD")
        return got

    def hear(self, data: bytes, cuts: list[int]) -> None:
        """Receive `data` in pieces, until it is answered or the connection is dropped."""
        edges = sorted({0, len(data), *[cut % (len(data) + 1) for cut in cuts]})
        for start, end in itertools.pairwise(edges):
            if not self.wire.aborted:
                self.connection.data_received(data[start:end])


CUTS = st.lists(st.integers(0, 10_000), max_size=8)
BODY = st.binary(max_size=40)
MESSAGE = st.one_of(
    BODY.map(lambda body: (answer(body), body)),
    st.lists(st.binary(min_size=1, max_size=20), max_size=5).map(lambda parts: (chunked(*parts), b"".join(parts))),
    BODY.map(lambda body: (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(body), body)),
)


@given(st.lists(st.tuples(MESSAGE, CUTS), min_size=1, max_size=4))
def test_messages_one_after_the_other_however_they_are_split(
    script: list[tuple[tuple[bytes, bytes], list[int]]],
) -> None:
    with Bench() as bench:
        for (data, body), cuts in script:
            got = bench.ask()
            collector = Collector()
            got.consume(collector)
            bench.hear(data, cuts)
            assert got.status == 200
            assert collector.over.is_set()
            assert collector.failure is None
            assert collector.data == body
            assert bench.pool.idle == [bench.connection]
            assert not bench.pool.live
            bench.connection = bench.pool.idle.pop()


@given(MESSAGE, MESSAGE, st.binary(min_size=1, max_size=30), CUTS)
def test_what_follows_the_end_is_never_delivered(
    first: tuple[bytes, bytes], second: tuple[bytes, bytes], junk: bytes, cuts: list[int]
) -> None:
    for extra in (second[0], junk):
        with Bench() as bench:
            got = bench.ask()
            collector = Collector()
            got.consume(collector)
            bench.hear(first[0] + extra, cuts)
            assert collector.data == first[1]
            assert collector.failure is None
            if extra.strip(b"\r\n"):  # line breaks alone are skipped before a status line (RFC 9112, 2.2)
                assert bench.wire.aborted
                assert bench.pool.idle == []


@given(MESSAGE, st.data())
def test_damaged_answers_end_in_a_verdict_and_free_the_slot(message: tuple[bytes, bytes], data: st.DataObject) -> None:
    raw = bytearray(message[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        raw = raw or bytearray(b"x")
    with Bench() as bench:
        got = bench.ask()
        collector = Collector()
        got.consume(collector)
        bench.hear(bytes(raw), data.draw(CUTS))
        if not bench.wire.aborted and got in bench.pool.live:
            bench.connection.eof_received()
        assert not bench.pool.live
        assert got.arrival is not None
        error = got.arrival.exception() or collector.failure
        assert error is None or isinstance(error, TransportError)
        assert collector.over.is_set() or got.arrival.exception() is not None
