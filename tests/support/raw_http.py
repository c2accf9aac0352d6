"""A client that says exactly the bytes it is given, for probes that no HTTP library would send."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n((?:[^\r]*\r\n)*?)\r\n")


class Answer(msgspec.Struct, frozen=True):
    """One answer as it came; header names in lower case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """Everything a connection said until it was closed or time was over."""

    data: bytes
    closed: bool

    @property
    def answers(self) -> list[Answer]:
        """The answers in `data`; raises ValueError on anything that is not a whole answer."""
        found, at = [], 0
        while at < len(self.data):
            answer, at = _answer(self.data, at)
            found.append(answer)
        return found

    @property
    def statuses(self) -> list[int]:
        return [answer.status for answer in self.answers]


def _answer(data: bytes, at: int) -> tuple[Answer, int]:
    head = _HEAD.match(data, at)
    if head is None:
        raise ValueError(f"not an answer: {data[at : at + 80]!r}")
    lines = head[2].split(b"\r\n")[:-1]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    status, start = int(head[1]), head.end()
    if status < 200:
        return Answer(status, headers, b""), start
    if headers.get(b"transfer-encoding") == b"chunked":
        body, end = _dechunk(data, start)
    else:
        end = start + int(headers[b"content-length"])
        body = data[start:end]
    if end > len(data):
        raise ValueError("the answer is cut short")
    return Answer(status, headers, body), end


def _dechunk(data: bytes, at: int) -> tuple[bytes, int]:
    body = bytearray()
    while True:
        line_end = data.index(b"\r\n", at)
        size = int(data[at:line_end], 16)
        start = line_end + 2
        body += data[start : start + size]
        at = start + size + 2
        if size == 0:
            return bytes(body), at


class RawClient:
    """One connection, on a bare socket: what the server said before a reset can still be read."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._heard = bytearray()  # by `answer`, behind the answer that it gave

    async def send(self, *pieces: bytes, pause: float = 0.0) -> bool:
        """Say these bytes, with a pause after each piece; returns False when the server has hung up."""
        loop = asyncio.get_running_loop()
        try:
            for piece in pieces:
                await loop.sock_sendall(self.socket, piece)
                await asyncio.sleep(pause)  # even without a pause the server gets a turn, and so a read, per piece
        except ConnectionError:
            return False
        return True

    async def read(self, *, seconds: float = 5.0, until: bytes | None = None) -> Reply:
        """Listen until the server hangs up, has said `until`, or time is over."""
        loop = asyncio.get_running_loop()
        data = bytearray()
        try:
            async with asyncio.timeout(seconds):
                while until is None or until not in data:
                    piece = await loop.sock_recv(self.socket, 65536)
                    if not piece:
                        return Reply(bytes(data), closed=True)
                    data += piece
        except TimeoutError:
            pass
        except ConnectionError:
            return Reply(bytes(data), closed=True)
        return Reply(bytes(data), closed=False)

    async def answer(self, *, seconds: float = 5.0) -> Answer:
        """Listen for one whole answer; raises TimeoutError, or EOFError when the server hangs up before."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(ValueError):
                    found, end = _answer(bytes(self._heard), 0)
                    del self._heard[:end]
                    return found
                piece = await loop.sock_recv(self.socket, 65536)
                if not piece:
                    raise EOFError(bytes(self._heard))
                self._heard += piece

    async def is_closed(self, *, seconds: float) -> bool:
        """Whether the server hangs up within this time."""
        return (await self.read(seconds=seconds)).closed


@asynccontextmanager
async def raw_client(port: int, *, receive_buffer: int | None = None) -> AsyncIterator[RawClient]:
    """Connect to loopback; `receive_buffer` makes a client whose kernel takes little (bytes)."""
    with socket.socket() as connection:
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        yield RawClient(connection)


async def say(port: int, *pieces: bytes, pause: float = 0.0, seconds: float = 5.0) -> Reply:
    """Connect, say these bytes and return everything that comes back."""
    async with raw_client(port) as client:
        await client.send(*pieces, pause=pause)
        return await client.read(seconds=seconds)
