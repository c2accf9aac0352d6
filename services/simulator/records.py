"""What the simulator remembers, so that a test can assert what went upstream and that a disconnect reached it."""

import base64
import time
from collections import deque

import msgspec

from services.simulator.settings import SimulatorSettings


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it arrived: header names in their own spelling, the target with its query."""

    number: int  # ascending
    at: float  # Unix time of its last byte
    method: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    keep_alive: bool

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition(b"?")[0].decode("latin-1")

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header; `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


class Cancellation(msgspec.Struct, frozen=True):
    """An answer whose client went away before its end. Both clocks, for other processes and for this one."""

    number: int
    path: str
    at: float  # Unix time
    monotonic: float  # time.monotonic()
    sent: int  # bytes of the answer handed to the network so far


class Records:
    """The last requests, and counts since the last reset."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._limit = settings.record
        self._byte_limit = settings.record_bytes
        self.open_connections = 0
        self.open_streams = 0
        self._number = 0
        self.reset()

    def reset(self) -> None:
        """Forget everything but what is open right now."""
        self.requests: deque[Request] = deque()
        self.cancelled: deque[Cancellation] = deque(maxlen=100_000)
        self.total = 0
        self.completed = 0
        self.connections = self.open_connections
        self._bytes = 0

    def add(self, request: Request) -> None:
        """Remember a request; the oldest ones make room for it."""
        self.total += 1
        self.requests.append(request)
        self._bytes += len(request.body)
        while len(self.requests) > self._limit or (self._bytes > self._byte_limit and len(self.requests) > 1):
            self._bytes -= len(self.requests.popleft().body)

    def next_number(self) -> int:
        """Number a request, one to a control endpoint included."""
        self._number += 1
        return self._number

    def cancel(self, request: Request, sent: int) -> None:
        """Remember that the client of a request went away."""
        self.cancelled.append(Cancellation(request.number, request.path, time.time(), time.monotonic(), sent))

    def state(self) -> dict[str, object]:
        """Return the counts as JSON is made from them."""
        return {
            "requests": self.total,
            "completed": self.completed,
            "connections": self.connections,
            "open_connections": self.open_connections,
            "open_streams": self.open_streams,
            "cancelled": list(self.cancelled),
        }


def to_json(request: Request) -> dict[str, object]:
    """Return a request for `GET /_simulator/requests`: `body` as text, or `body_base64` where it is not UTF-8."""
    shown: dict[str, object] = {
        "number": request.number,
        "at": request.at,
        "method": request.method,
        "path": request.target.decode("latin-1"),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
    }
    try:
        shown["body"] = request.body.decode()
    except UnicodeDecodeError:
        shown["body_base64"] = base64.b64encode(request.body).decode()
    return shown
