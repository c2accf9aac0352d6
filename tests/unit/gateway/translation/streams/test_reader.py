"""What a reader does with any dialect; the dialects have tests of their own."""

from collections.abc import Sequence

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import read_fault
from services.gateway.translation.streams.assembly import Assembly
from services.gateway.translation.streams.events import End, Failed, Finish, Start, StopReason, TextDelta
from services.gateway.translation.streams.faults import NO_DATA, TOO_LARGE
from services.gateway.translation.streams.reader import StreamReader, fault_under_200


class Plain:
    """A dialect in which a frame is text, `.` is the last word, and a body is one text."""

    settled = True

    def __init__(self) -> None:
        self.assembly = Assembly(ResponseContext(requested_model="m"), str, "")

    def frames(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        for _, data in pairs:
            if data == b".":
                self.close()
                return
            self.assembly.start("1", "m")
            self.assembly.text(data.decode())

    def close(self) -> None:
        self.assembly.finish(StopReason.END)

    def body(self, body: bytes) -> None:
        self.frames([(b"", body), (b"", b".")])


ENDED = [Finish(StopReason.END), End()]


def reader() -> StreamReader:
    return StreamReader(Plain(), limit=20)


def test_frames_go_to_the_dialect_and_nothing_after_the_end() -> None:
    machine = reader()

    assert not machine.started
    assert machine.settled
    assert machine.usage is None
    assert machine.feed(b"data: a\n\nda") == [Start("1", "m"), TextDelta("a")]
    assert machine.started
    assert machine.feed(b"ta: b\n\ndata: .\n\ndata: c\n\n") == [TextDelta("b"), *ENDED]
    assert machine.ended
    assert machine.feed(b"data: d\n\n") == []
    assert machine.eof() == []


def test_the_last_frame_may_lack_its_blank_line() -> None:
    machine = reader()
    assert machine.feed(b"data: a") == []
    assert machine.eof() == [Start("1", "m"), TextDelta("a"), *ENDED]
    machine = reader()
    machine.feed(b"data: a\n\ndata: .")
    assert machine.eof() == ENDED


def test_b83_a_stream_of_nothing_is_an_error() -> None:
    assert reader().eof() == [Failed(NO_DATA)]


def test_an_event_above_the_limit_is_an_error_unless_the_answer_was_over() -> None:
    long = b"data: 1234567890123456"
    assert reader().feed(b"data: a\n\n" + long)[-1] == Failed(TOO_LARGE)
    assert reader().feed(b"data: .\n\n" + long)[-1] == End()


def test_a_body_in_the_place_of_a_stream_is_read_as_one() -> None:
    machine = reader()

    assert machine.feed(b"\n {x}") == []
    assert machine.eof() == [Start("1", "m"), TextDelta("\n {x}"), *ENDED]
    assert machine.ended


def test_a_fault_is_read_under_200() -> None:
    body = b'{"error":{"code":"1302"}}'

    assert fault_under_200(body) == read_fault(200, body)
