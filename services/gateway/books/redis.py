"""
The books of a cluster: a hash for each hour, a field for each process and what it counts apart.

    zr:u:{hour}     field: JSON of [process, model, key, credential]    value: JSON of the tally    lives for retention
    zr:u:n:{what}   a note                                              zr:u:c:{what}   a turn that was taken

Every command concerns one key and may be repeated, so it works the same alone, behind Sentinel and in a cluster.
"""

from typing import Final

import msgspec

from services.chassis.redis.address import RedisAddress
from services.chassis.redis.client import make_link
from services.chassis.redis.link import ONCE, REPEATABLE, Link
from services.gateway.books.port import HOUR, Tally, Usage, UsageKey, added_up

_BATCH: Final = 100  # commands sent together
_fields: Final = msgspec.json.Decoder(tuple[str, str, str, str])
_tallies: Final = msgspec.json.Decoder(Tally)


class RedisBooks:
    """`Books` in Redis or Valkey."""

    def __init__(self, address: RedisAddress, process: str, *, hours: int) -> None:
        self._link: Link = make_link(address, name="zcode-gateway")
        self._prefix = f"{address.prefix}u:"
        self._process = process
        self._life = hours * HOUR

    async def write(self, totals: Usage) -> None:
        by_hour: dict[int, list[bytes]] = {}
        for key, tally in totals.items():
            field = msgspec.json.encode((self._process, key.model, key.key, key.credential))
            by_hour.setdefault(key.hour, []).extend((field, msgspec.json.encode(tally)))
        for hour, words in by_hour.items():
            name = f"{self._prefix}{hour}"
            await self._link.call("HSET", name, *words, policy=REPEATABLE)
            await self._link.call("EXPIRE", name, self._life, policy=REPEATABLE)

    async def read(self, first: int, last: int) -> Usage:
        hours = range(first, last + 1)
        found: list[tuple[UsageKey, Tally]] = []
        for start in range(0, len(hours), _BATCH):
            part = hours[start : start + _BATCH]
            answers = await self._link.fetch([("HGETALL", f"{self._prefix}{hour}") for hour in part])
            for hour, answer in zip(part, answers, strict=True):
                found += [_row(hour, field, value) for field, value in answer.items()]
        return added_up(found)

    async def prune(self, before: int) -> None:
        """Redis forgets by itself."""

    async def claim(self, what: str, seconds: float) -> bool:
        name = f"{self._prefix}c:{what}"
        return bool(await self._link.call("SET", name, self._process, "NX", "PX", int(seconds * 1000), policy=ONCE))

    async def note(self, what: str, text: bytes, seconds: float) -> None:
        await self._link.call("SET", f"{self._prefix}n:{what}", text, "PX", int(seconds * 1000), policy=REPEATABLE)

    async def recall(self, what: str) -> bytes | None:
        found: bytes | None = await self._link.call("GET", f"{self._prefix}n:{what}", policy=REPEATABLE)
        return found

    async def aclose(self) -> None:
        self._link.stop()
        await self._link.aclose()


def _row(hour: int, field: bytes, value: bytes) -> tuple[UsageKey, Tally]:
    _, model, key, credential = _fields.decode(field)
    return UsageKey(hour, model, key, credential), _tallies.decode(value)
