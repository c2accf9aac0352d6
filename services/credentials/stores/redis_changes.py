"""Hears of changes from other processes by publish and subscribe. Only a hint: whoever relies on it looks as well."""

import asyncio
import contextlib
from typing import Final

from redis.exceptions import RedisClusterException, RedisError

from services.chassis.process import Tasks
from services.chassis.redis.link import Link

_ROUND: Final = 1.0  # seconds between two looks at whether the connection still lives, and we still want to hear
_AGAIN_AFTER: Final = 1.0


class Changes:
    """One subscription, begun by the first who waits; `next()` is set by the next message."""

    def __init__(self, link: Link, channel: str) -> None:
        self._link = link
        self._channel = channel
        self._event = asyncio.Event()
        self._tasks = Tasks()
        self._closed = False
        self._listener: asyncio.Task[None] | None = None

    def next(self) -> asyncio.Event:
        """Return the event of the next change; take it before looking, so that none falls between."""
        if self._listener is None and not self._closed:
            self._listener = self._tasks.start(self._listen(), name="changes of the store")
        return self._event

    def announce(self) -> None:
        """Wake who waits now; who comes later waits for the next event."""
        self._event.set()
        self._event = asyncio.Event()

    async def aclose(self) -> None:
        self._closed = True
        self.announce()
        await self._tasks.aclose()

    async def _listen(self) -> None:
        while not self._closed:  # redis-py swallows a cancellation that meets it while it connects
            with contextlib.suppress(RedisError, RedisClusterException, OSError, TimeoutError):
                await self._hear()
            await asyncio.sleep(_AGAIN_AFTER)

    async def _hear(self) -> None:
        subscriber = self._link.subscriber()
        try:
            await subscriber.subscribe(self._channel)
            while not self._closed:
                if await subscriber.get_message(ignore_subscribe_messages=True, timeout=_ROUND) is not None:
                    self.announce()
        finally:
            with contextlib.suppress(RedisError, RedisClusterException, OSError, TimeoutError):
                await subscriber.aclose()
