"""
Chat requests as bytes on a socket, and what came back as a client's decoder would see it.

For tests that must choose when to read, when to hang up and what to send in one piece; everything else uses an SDK or
an HTTP client.
"""

import asyncio
import re
import time
from typing import Any

import msgspec

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import PATH, small
from tests.support.raw_http import RawClient, Reply, raw_client
from tests.support.responses_validator import check_responses_stream
from tests.support.stream_validators import Seen, check_anthropic_stream, check_openai_stream

_CHUNK = re.compile(rb"([0-9a-f]+)\r\n")
HEAD_END = b"\r\n\r\n"


def chat_request(
    dialect: WireFormat, model: str = "glm-5.1", *headers: bytes, stream: bool = True, **fields: Any
) -> bytes:
    """Return a whole request; `headers` are whole lines without their end."""
    body = msgspec.json.encode(small(dialect, model, stream=stream, **fields))
    lines = [
        b"POST %b HTTP/1.1" % PATH[dialect].encode(),
        b"host: gate.example",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + HEAD_END + body


class Streamed(msgspec.Struct, frozen=True):
    """One answer, taken apart as far as it came. `whole`: its framing was completed."""

    status: int
    head: bytes
    body: bytes
    whole: bool

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header; `name` in lower case."""
        found = re.search(rb"\r\n" + re.escape(name) + rb": ([^\r]*)\r\n", self.head + b"\r\n")
        return found[1] if found else None


def streamed(data: bytes) -> Streamed:
    """Take the first answer of a connection apart, complete or not."""
    head, _, rest = data.partition(HEAD_END)
    if not head:
        return Streamed(0, b"", b"", whole=False)
    status = int(head[9:12])
    length = re.search(rb"\r\ncontent-length: (\d+)", head)
    if length:
        body = rest[: int(length[1])]
        return Streamed(status, head, body, whole=len(body) == int(length[1]))
    body, at = bytearray(), 0
    while match := _CHUNK.match(rest, at):
        size = int(match[1], 16)
        if size == 0:
            return Streamed(status, head, bytes(body), whole=True)
        body += rest[match.end() : match.end() + size]
        at = match.end() + size + 2
    return Streamed(status, head, bytes(body), whole=False)


def checked(client: WireFormat, body: bytes, upstream: WireFormat | None = None) -> Seen:
    """
    Return what a careful client reads from a whole stream; an AssertionError names the rule it breaks.

    `upstream`: what it was made from, because what an upstream of the same dialect says is passed on as it is.
    """
    if client is WireFormat.ANTHROPIC:
        return check_anthropic_stream(body)
    if client is WireFormat.RESPONSES:
        return check_responses_stream(body)
    return check_openai_stream(body, relayed=client is upstream)


def complete(data: bytearray) -> bool:
    """Whether this is a whole answer; cheap to ask after each read of a long one."""
    return (data.endswith(b"0\r\n\r\n") or b"\r\ncontent-length: " in data[:4096]) and streamed(bytes(data)).whole


async def ask(port: int, request: bytes, *, seconds: float = 20.0) -> Streamed:
    """Send one request over a connection of its own and read its answer to the end."""
    async with raw_client(port) as client:
        await client.send(request)
        return streamed((await read_answer(client, seconds=seconds)).data)


async def read_answer(client: RawClient, *, seconds: float = 20.0) -> Reply:
    """Read until the answer is whole, the server hangs up, or time is over."""
    data = bytearray()
    deadline = time.monotonic() + seconds
    while not complete(data) and (left := deadline - time.monotonic()) > 0:
        piece = await _some(client, left)
        if piece is None:
            break
        if not piece:
            return Reply(bytes(data), closed=True)
        data += piece
    return Reply(bytes(data), closed=False)


async def _some(client: RawClient, seconds: float) -> bytes | None:
    """Return what comes next, nothing at the end of the connection, None when time is over."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.get_running_loop().sock_recv(client.socket, 262144)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""
