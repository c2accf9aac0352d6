"""
The shared store: Redis or Valkey, alone, behind sentinels, or as a cluster.

Theory of operation
- A record is a hash, its lease and its fence lie in the same Cluster slot, and every decision on them is one script on
  the server: compare and swap, take, renew. Leases and lifetimes go by the server's clock.
- The generation and the index of ids must change with a record but lie in another slot, where no script can reach
  both. So a write has three steps:

      begin    announce the writer (a ticket that dies after `TICKET`), put the id in the index     slot {g}
      commit   compare and swap, unless half the ticket's life is over; WAIT for replicas           slot of the record
      end      withdraw the ticket; if something was written raise the generation and publish       slot {g}

  A writer that dies before `commit` wrote nothing. One that dies after it leaves its ticket, and the next reader of
  the generation who finds a dead ticket raises the generation: nobody misses the change for longer than `TICKET`.
- An index entry may outlive its record (a crash in between); a scan passes over it. It never goes while its record
  stays: a removal takes it out only if nobody has announced a write of that id since.
- A value is durable when `put` returns as far as Redis is: see promises.md C2 for the server's settings. A master that
  the sentinels have given up goes on answering until it hears of it, up to ten seconds, and nobody will ever have what
  it takes meanwhile. Its replicas have left it, so whoever must not believe it asks for a durable answer, which writes
  and waits for replicas as `put` does.
"""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any, Final

from services.chassis.redis.address import RedisAddress
from services.chassis.redis.client import make_link
from services.chassis.redis.link import REPEATABLE, Refusal, Words
from services.chassis.redis.script import Script
from services.credentials.stores import redis_scripts as scripts
from services.credentials.stores.names import KeyNames, check
from services.credentials.stores.port import Busy, Granted, Stale, StoreRefused, StoreUnavailable, Versioned
from services.credentials.stores.redis_changes import Changes

TICKET: Final = 2000  # milliseconds, at least; in any case longer than four calls
WAIT: Final = 200  # milliseconds for replicas, at least; in any case less than half a call's deadline
TRANSIENT: Final = 5.0  # seconds that a failover may take before a waiter is told
_LOOK_EVERY: Final = 0.8  # seconds, should a message be lost
_AGAIN_AFTER: Final = 0.1  # seconds between tries of the first call
_BATCH: Final = 200  # records fetched at once
_MARK: Final = 60_000  # milliseconds that the mark of a safe read stays
_OLDEST: Final = (6, 2)  # GETDEL


class RedisStore:
    """A `Store` in Redis."""

    def __init__(self, address: RedisAddress) -> None:
        self._names = KeyNames(address.prefix)
        self._places = ", ".join(f"{host}:{port}" for host, port in address.hosts)
        self._replicas = address.wait
        self._link = make_link(address, name="zcode-credentials")
        self._changes = Changes(self._link, self._names.channel)
        self._wait = max(WAIT, int(400 * address.deadline))
        self._ticket = max(TICKET, int(4000 * address.deadline))
        self._closed = False

    async def open(self) -> None:
        """Refuse a server that would drop credentials when its memory is full, or that lacks a command."""
        for info in await self._servers():
            version = tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2])
            if version < _OLDEST:
                raise StoreRefused("Redis is older than 6.2")
            policy = info.get("maxmemory_policy")
            if policy != "noeviction":
                raise StoreRefused(f"Redis has maxmemory-policy {policy}: it would drop credentials; set noeviction")

    async def _servers(self) -> list[dict[str, Any]]:
        """Ask until a failover could be over: services often start together with their Redis."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + TRANSIENT
        while True:
            try:
                return await self._link.primaries()
            except Refusal as error:
                raise StoreRefused(f"{error}: the user needs the rights in deploy/redis/users.acl") from error
            except StoreUnavailable as error:
                if loop.time() > deadline:
                    raise StoreUnavailable(f"Redis at {self._places} cannot be used: {error}") from error
            await asyncio.sleep(_AGAIN_AFTER)

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        check(kind, id_)
        if durable and self._replicas:
            keys = self._names.record(kind, id_)
            return _versioned(await self._safely(scripts.READ, (keys.record, keys.mark), (_MARK,)), safe=True)
        fields = await self._link.call(*self._reading(kind, id_), policy=REPEATABLE)
        return _versioned(fields, safe=not self._replicas)

    async def scan(self, kind: str) -> dict[str, Versioned]:
        check(kind, "any")
        ids = [id_.decode() for id_ in await self._link.call("HKEYS", self._names.ids(kind), policy=REPEATABLE)]
        found: dict[str, Versioned] = {}
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            answers = await self._link.fetch([self._reading(kind, id_) for id_ in batch])
            for id_, fields in zip(batch, answers, strict=True):
                if (value := _versioned(fields, safe=not self._replicas)) is not None:
                    found[id_] = value
        return found

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        check(kind, id_)
        return await self._change(kind, id_, scripts.PUT, (expected, value, kid), gone=False)

    async def remove(self, kind: str, id_: str, *, expected: int) -> bool:
        check(kind, id_)
        return await self._change(kind, id_, scripts.REMOVE, (expected,), gone=True)

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        check(kind, id_)
        keys = self._names.record(kind, id_)
        answer = await self._link.run(
            scripts.ACQUIRE, (keys.record, keys.lease, keys.fence), (owner, _milliseconds(ttl), seen)
        )
        said, number = answer
        if said == scripts.GRANTED:
            return Granted(number)
        return Busy(max(number, 0) / 1000) if said == scripts.BUSY else Stale(number)

    async def renew(self, kind: str, id_: str, owner: str, *, ttl: float) -> bool:
        check(kind, id_)
        keys = (self._names.record(kind, id_).lease,)
        return bool(await self._link.run(scripts.RENEW, keys, (owner, _milliseconds(ttl)), policy=REPEATABLE))

    async def release(self, kind: str, id_: str, owner: str) -> None:
        check(kind, id_)
        await self._link.run(scripts.RELEASE, (self._names.record(kind, id_).lease,), (owner,), policy=REPEATABLE)

    async def put_once(self, kind: str, id_: str, value: bytes, *, ttl: float, durable: bool = False) -> bool:
        check(kind, id_)
        run = self._safely if durable else self._link.run
        return bool(await run(scripts.ONCE, (self._names.once(kind, id_),), (value, _milliseconds(ttl))))

    async def take(self, kind: str, id_: str) -> bytes | None:
        check(kind, id_)
        value: bytes | None = await self._link.call("GETDEL", self._names.once(kind, id_))
        return value

    async def generation(self) -> int:
        generation, _, _ = await self._moment()
        return generation

    async def now(self) -> float:
        _, seconds, microseconds = await self._moment()
        return seconds + microseconds / 1e6

    async def changed(self, after: int, *, wait: float) -> int:
        loop = asyncio.get_running_loop()
        deadline, well = loop.time() + wait, loop.time()
        while True:
            change = self._changes.next()
            left = deadline - loop.time()
            try:
                generation = await self.generation()
            except StoreUnavailable:
                if self._closed or left <= 0 or loop.time() - well > TRANSIENT:
                    raise
            else:
                well = loop.time()
                if generation > after or left <= 0:
                    return generation
            await _first(change, min(left, _LOOK_EVERY))

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            self._link.stop()
            await self._changes.aclose()
            await self._link.aclose()

    async def _change(self, kind: str, id_: str, script: Script, args: Words, *, gone: bool) -> bool:
        """Write or remove in the three steps above, all of them within one deadline."""
        written: bool | None = None
        try:
            async with asyncio.timeout(self._link.deadline):
                ticket = secrets.token_hex(8)
                count, not_after = await self._begin(kind, id_, ticket)
                written = await self._commit(self._names.record(kind, id_).record, script, (*args, not_after))
                await self._end(kind, id_, ticket, written=written, count=count if gone else -1)
        except (TimeoutError, StoreUnavailable) as error:
            if written is None:
                raise StoreUnavailable(str(error) or "Redis did not answer in time") from error
        return written

    async def _begin(self, kind: str, id_: str, ticket: str) -> tuple[int, int]:
        keys = (self._names.pending, self._names.ids(kind))
        count, not_after = await self._link.run(scripts.BEGIN, keys, (ticket, id_, self._ticket), policy=REPEATABLE)
        return count, not_after

    async def _commit(self, key: str, script: Script, args: Words) -> bool:
        answer = await self._safely(script, (key,), args)
        if answer not in (0, 1):
            raise StoreUnavailable("the write came too late and was not made")
        return bool(answer)

    async def _safely(self, script: Script, keys: Sequence[str], args: Words) -> Any:
        """Run a script that writes, and wait for the replicas."""
        return await self._link.commit(script, keys, args, replicas=self._replicas, wait_ms=self._wait)

    async def _end(self, kind: str, id_: str, ticket: str, *, written: bool, count: int) -> None:
        keys = (self._names.generation, self._names.pending, self._names.ids(kind))
        args = (ticket, int(written), id_, count, self._names.channel)
        await self._link.run(scripts.END, keys, args, policy=REPEATABLE)
        if written:
            self._changes.announce()

    async def _moment(self) -> tuple[int, int, int]:
        keys = (self._names.generation, self._names.pending)
        generation, seconds, microseconds = await self._link.run(scripts.GENERATION, keys, (), policy=REPEATABLE)
        return generation, seconds, microseconds

    def _reading(self, kind: str, id_: str) -> Words:
        return ("HMGET", self._names.record(kind, id_).record, "ver", "blob", "kid")


def _versioned(fields: Sequence[Any], *, safe: bool) -> Versioned | None:
    version, value, kid = fields
    return None if version is None else Versioned(version=int(version), value=value, kid=int(kid), safe=safe)


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, at most so long."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        pass
