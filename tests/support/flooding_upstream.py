"""
An upstream that talks without end and as fast as it is read, as a process of its own.

    async with flooding_upstream() as upstream:
        ... upstream.origin ... await upstream.sent()

It answers every chat request with one text delta after the other, and `GET /sent` with how many bytes the network has
taken for each of them.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from tests.support.raw_http import raw_client

_BLOCK = 256  # events per write
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_OPENAI = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"glm-5.1","choices":[{"index":0,'
    b'"delta":{"role":"assistant","content":"on "}}]}\n\n'
)
_START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"content":[],"model":"glm-5.1","stop_reason":null,"stop_sequence":null,'
    b'"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
)
_ANTHROPIC = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"on "}}\n\n'
)


class FloodingUpstream:
    """A flood that runs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.origin = f"http://127.0.0.1:{port}"

    async def sent(self) -> list[int]:
        """Return the bytes sent in answer to each request so far."""
        async with raw_client(self._port) as client:
            await client.send(b"GET /sent HTTP/1.1\r\n\r\n")
            data = (await client.read()).data
        return msgspec.json.decode(data.partition(b"\r\n\r\n")[2], type=list[int])


@asynccontextmanager
async def flooding_upstream() -> AsyncIterator[FloodingUpstream]:
    """Run it until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.flooding_upstream", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield FloodingUpstream(int(await process.stdout.readline()))
    finally:
        process.kill()
        await process.wait()


async def _serve() -> None:
    sent: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + msgspec.json.encode(sent))
            else:
                sent.append(0)
                await _flood(writer, sent, len(sent) - 1, anthropic=b"/messages" in head)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def _flood(writer: asyncio.StreamWriter, sent: list[int], at: int, *, anthropic: bool) -> None:
    writer.write(_HEAD + (_START if anthropic else b""))
    block = (_ANTHROPIC if anthropic else _OPENAI) * _BLOCK
    while True:
        writer.write(block)
        await writer.drain()
        sent[at] += len(block)


if __name__ == "__main__":
    asyncio.run(_serve())
