"""A client as an ASGI application meets it, in memory: what it says is put in, what it is told is kept."""

import asyncio
from typing import Any

Message = dict[str, Any]

GONE: Message = {"type": "http.disconnect"}


class MemoryClient:
    """One request. Pass `receive` and `send` to the application."""

    def __init__(self, *said: bytes) -> None:
        """`said`: the parts of the request's body; with none the client is still to speak."""
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._reading = asyncio.Event()
        self._reading.set()
        self.told: list[Message] = []
        for number, part in enumerate(said, start=1):
            self.say(part, more=number < len(said))

    def say(self, part: bytes, *, more: bool = False) -> None:
        """Send a part of the request's body."""
        self._inbox.put_nowait({"type": "http.request", "body": part, "more_body": more})

    def leave(self) -> None:
        """Hang up; what it had not read goes nowhere."""
        self._inbox.put_nowait(GONE)
        self.read_on()

    def stop_reading(self) -> None:
        """Let every `send` wait, as a server does when the client's socket is full."""
        self._reading.clear()

    def read_on(self) -> None:
        """Read again."""
        self._reading.set()

    async def receive(self) -> Message:
        return await self._inbox.get()

    async def send(self, message: Message) -> None:
        if not self._reading.is_set():
            await self._reading.wait()
        self.told.append(message)

    @property
    def status(self) -> int | None:
        """The status of the answer, None before its head was sent."""
        heads = [message["status"] for message in self.told if message["type"] == "http.response.start"]
        assert len(heads) <= 1, "an answer has one head"
        return heads[0] if heads else None

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.told[0]["headers"])

    @property
    def body(self) -> bytes:
        """What was sent of the body."""
        return b"".join(message.get("body", b"") for message in self.told[1:])

    @property
    def complete(self) -> bool:
        """Whether the answer was ended, and nothing followed."""
        ends = [not message.get("more_body", False) for message in self.told[1:]]
        assert not any(ends[:-1]), "nothing follows the end"
        return bool(ends) and ends[-1]


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)
