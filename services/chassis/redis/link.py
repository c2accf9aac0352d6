"""
The way to Redis: one client per shape, every call with a deadline of its own, and no call made twice by accident.

Settings are promises.md C2. redis-py's own retries are off: they repeat commands that may have happened (D17) and hold
a caller for a minute (D16). What is tried again here is either harmless to repeat, or was answered by an error that
proves that nothing happened: no master elected yet, a demoted master, too few replicas.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from redis.asyncio.cluster import ClusterNode, PipelineCommand
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 -- redis-py's, no OSError
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)

from services.chassis.process import Tasks
from services.chassis.redis.script import Script
from services.chassis.storage import StoreUnavailable

T = TypeVar("T")

CONNECTIONS: Final = 32
_GOODBYE: Final = 0.5  # seconds to close connections
_PAUSE: Final = 0.05  # between tries of what provably did not happen
_NOT_DONE: Final = (MasterNotFoundError, ReadOnlyError, BusyLoadingError, ClusterDownError, TryAgainError)
_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)

REPEATABLE: Final = Retry(ExponentialWithJitterBackoff(cap=0.1, base=0.02), 1)
ONCE: Final = Retry(NoBackoff(), 0)

Words = Sequence[str | bytes | int]


class Refusal(StoreUnavailable):
    """Redis answered, and does not let us in."""


class Link:
    """
    What the store asks of Redis, whatever its shape.

    Subclasses know how to reach the node of a key, and how to write and wait for replicas on one connection, because
    WAIT speaks of the writes of its own connection only.
    """

    def __init__(self, client: Any, deadline: float) -> None:
        self._client = client
        self.deadline = deadline
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._tasks = Tasks(on_failure=_forgotten)
        self._closed = False

    async def call(self, *words: str | bytes | int, policy: Retry = ONCE) -> Any:
        """Send one command to the node of its first key."""
        return await self.within(lambda: self._client.execute_command(*words), policy)

    async def run(self, script: Script, keys: Sequence[str], args: Words, *, policy: Retry = ONCE) -> Any:
        """Run a script where its keys are; a server that does not know it is told it."""
        return await self.within(lambda: self._evaluate(script, keys, args), policy)

    async def commit(self, script: Script, keys: Sequence[str], args: Words, *, replicas: int, wait_ms: int) -> Any:
        """Run a script and wait for replicas; raises when fewer have it, although the master does."""
        if replicas == 0:
            return await self.run(script, keys, args)
        result, acknowledged = await self.within(lambda: self._write_and_wait(script, keys, args, (replicas, wait_ms)))
        if acknowledged < replicas:
            await self._forget()
            raise StoreUnavailable(f"{acknowledged} of {replicas} replicas have the write")
        return result

    async def fetch(self, commands: Sequence[Words]) -> list[Any]:
        """Send reads together; answers come in their order."""

        async def send() -> list[Any]:
            pipeline = self._client.pipeline(transaction=False)
            for words in commands:
                pipeline.execute_command(*words)
            return list(await pipeline.execute())

        return await self.within(send, REPEATABLE)

    async def within(self, work: Callable[[], Awaitable[T]], policy: Retry = ONCE) -> T:
        """
        Do something within the deadline, and say `StoreUnavailable` for all that can go wrong.

        A task of its own, left behind when it is late: redis-py swallows a cancellation that meets it while it
        connects, so a plain `asyncio.timeout` would wait for the socket's timeouts one after the other.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        task = self._tasks.start(self._tries(work, policy), name="Redis")
        try:
            done, _ = await asyncio.wait({task}, timeout=self.deadline)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done or task.cancelled():
            task.cancel()
            raise StoreUnavailable("Redis did not answer in time")
        try:
            return task.result()
        except (AuthenticationError, NoPermissionError) as error:
            raise Refusal(f"Redis refuses this user ({type(error).__name__})") from error
        except _FAILURES as error:
            raise StoreUnavailable(f"Redis did not do it ({type(error).__name__})") from error

    async def _tries(self, work: Callable[[], Awaitable[T]], policy: Retry) -> T:
        while not self._closed:
            try:
                async with self._slots:
                    return await policy.call_with_retry(lambda: _translated(work), _nothing)
            except _NOT_DONE:
                pass
            except ResponseError as error:
                if not str(error).startswith("NOREPLICAS"):
                    raise
            await self._forget()
            await asyncio.sleep(_PAUSE)
        raise StoreUnavailable("the store is closed")

    async def _evaluate(self, script: Script, keys: Sequence[str], args: Words) -> Any:
        try:
            return await self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:  # nothing has happened; EVAL teaches it on the way
            return await self._client.execute_command("EVAL", script.source, len(keys), *keys, *args)

    async def _write_and_wait(
        self, script: Script, keys: Sequence[str], args: Words, wait: tuple[int, int]
    ) -> tuple[Any, int]:
        result, acknowledged = await self._pair(("EVALSHA", script.sha, len(keys), *keys, *args), wait)
        if isinstance(result, NoScriptError):
            result, acknowledged = await self._pair(("EVAL", script.source, len(keys), *keys, *args), wait)
        if isinstance(result, Exception):
            raise result
        if isinstance(acknowledged, Exception):
            raise acknowledged
        return result, acknowledged

    async def _pair(self, words: Words, wait: tuple[int, int]) -> tuple[Any, Any]:
        """Send a command and WAIT on one connection; answers or exceptions."""
        raise NotImplementedError

    async def primaries(self) -> list[dict[str, Any]]:
        """Return INFO of every server that may be written to."""
        raise NotImplementedError

    def subscriber(self) -> Any:
        """Return a redis-py PubSub, to be closed by the caller."""
        return self._client.pubsub()

    def stop(self) -> None:
        """Take no further calls."""
        self._closed = True

    async def aclose(self) -> None:
        """Wait for the calls under way, none of which is long, and let go of every connection."""
        self.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.deadline):
                for _ in range(CONNECTIONS):
                    await self._slots.acquire()
        await self._tasks.aclose(seconds=_GOODBYE)
        await self._disconnect(self._client)

    async def _disconnect(self, what: Any) -> None:
        with contextlib.suppress(*_FAILURES):
            async with asyncio.timeout(_GOODBYE):
                await what.aclose()

    async def _forget(self) -> None:
        """Let go of idle connections, so that the next call finds out anew who the master is."""


class SingleLink(Link):
    """One server at a time: standalone, or the master that sentinels name."""

    async def primaries(self) -> list[dict[str, Any]]:
        return [await self.within(self._client.info, REPEATABLE)]

    async def _pair(self, words: Words, wait: tuple[int, int]) -> tuple[Any, Any]:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.execute_command(*words)
        pipeline.execute_command("WAIT", *wait)
        result, acknowledged = await pipeline.execute(raise_on_error=False)
        return result, acknowledged

    async def _forget(self) -> None:
        await self._client.connection_pool.disconnect(inuse_connections=False)


class SentinelLink(SingleLink):
    """As above; owns the connections to the sentinels as well."""

    def __init__(self, client: Any, deadline: float, sentinel: Sentinel) -> None:
        super().__init__(client, deadline)
        self._sentinel = sentinel

    async def aclose(self) -> None:
        await super().aclose()
        await self._disconnect(self._sentinel)


class ClusterLink(Link):
    """A cluster. Experimental, as promises.md D20 says of the library."""

    async def primaries(self) -> list[dict[str, Any]]:
        async def ask() -> list[dict[str, Any]]:
            await self._client.initialize()
            asked = (node.execute_command("INFO") for node in self._client.get_primaries())
            return list(await asyncio.gather(*asked))

        return await self.within(ask, REPEATABLE)

    async def _pair(self, words: Words, wait: tuple[int, int]) -> tuple[Any, Any]:
        await self._client.initialize()
        key = words[3]  # EVALSHA sha count key
        node: ClusterNode = self._client.get_node_from_key(key)
        command, waiting = PipelineCommand(0, *words), PipelineCommand(1, "WAIT", *wait)
        await node.execute_pipeline([command, waiting])
        if isinstance(command.result, MovedError):
            await self._client.nodes_manager.move_slot(command.result)
            return TryAgainError("moved"), 0
        return command.result, waiting.result


async def _translated(work: Callable[[], Awaitable[T]]) -> T:
    """uvloop says RuntimeError where asyncio says nothing, when a connection that died is written to."""
    try:
        return await work()
    except RuntimeError as error:
        raise ConnectionError("the connection is closed") from error


def _forgotten(_name: str, _failure: BaseException) -> None:
    """What a call came to is told to its caller; one that was left behind has none."""


async def _nothing(_: Exception) -> None:
    """redis-py wants to be told what to do between two tries."""
