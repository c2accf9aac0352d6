"""A conversion whose protocol is words, for tests of what stands around one."""

from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import Usage

BROKEN = Fault(status=502, message="broken")
TRUNCATED = Fault(status=502, message="truncated")


class WordConversion:
    """
    Implements `Conversion`. Words are passed on in brackets; some mean something:

    `.` the last event · `!` an error · `?` all is said but the last event · `-` nothing for the client
    """

    turn = 16 * 1024

    def __init__(self) -> None:
        self.begun = False
        self.fault: Fault | None = None
        self.finished = False
        self.settled = False
        self.usage: Usage | None = None
        self.fed: list[int] = []

    def feed(self, data: bytes) -> bytes:
        self.fed.append(len(data))
        return b"".join(self._word(word) for word in data.split())

    def _word(self, word: bytes) -> bytes:
        if word == b"!":
            return self.fail(BROKEN)
        if word == b"-":
            return b""
        self.begun = True
        self.settled = word == b"?"
        if word == b".":
            self.finished = True
            self.settled = False
            return b"<end>"
        return b"<%b>" % word

    def eof(self) -> bytes:
        if self.settled:
            self.finished = True
            self.settled = False
            return b"<end>"
        return self.fail(TRUNCATED)

    def fail(self, fault: Fault) -> bytes:
        self.finished = True
        self.settled = False
        self.fault = fault
        return b"<error %b>" % fault.message.encode()

    def ping(self) -> bytes:
        return b"<ping>"
