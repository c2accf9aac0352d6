"""
The shared bank. Every decision is one script on the server (`lua/`), by the server's clock; tokens lie there sealed.

All keys of an account share one Cluster slot, and are those of promises.md C2 and their like:

    zr:{c:<account>}:pool, :blob, :line, :places, :claim:<claim>, :seen:<digest>, :challenged, :refused, :format
    zr:{c:<account>}:mark:<name>

There is no message from one process to another: whoever waits asks again every half second, so that the service's
Redis user needs no right to any channel. A claim may be sent again safely; nothing else is.
"""

import asyncio
import re
from pathlib import Path
from typing import Any, Final

from services.captcha.banks.bells import Bells
from services.captcha.banks.port import SEEN, TIMES, Granted, Note, NotYet, Standing, Times
from services.captcha.contract import Captcha
from services.captcha.keys import Keys, digest_of
from services.captcha.policy import REFUSALS
from services.chassis.redis.address import RedisAddress
from services.chassis.redis.client import make_link
from services.chassis.redis.link import REPEATABLE
from services.chassis.redis.script import load

_LUA: Final = Path(__file__).parent / "lua"
_PUT: Final = load(_LUA / "put.lua")
_CLAIM: Final = load(_LUA / "claim.lua")
_NOTE: Final = load(_LUA / "note.lua")
_STANDING: Final = load(_LUA / "standing.lua")

_NAME: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,200}", re.ASCII)
_PAGE: Final = "page"  # the "account" of what belongs to none
_REASONS: Final = {1: NotYet.NOTHING, 2: NotYet.WAITING, 3: NotYet.FULL}


class RedisBank:
    """A `Bank` in Redis or Valkey."""

    remembers_since = 0.0

    def __init__(self, address: RedisAddress, keys: Keys, *, capacity: int, queue: int, times: Times = TIMES) -> None:
        self._prefix = address.prefix
        self._keys = keys
        self._capacity = capacity
        self._queue = queue
        self._times = times
        self._link = make_link(address, name="zcode-captcha")
        self._bells = Bells()

    async def put(self, account: str, token: Captcha) -> bool:
        digest = digest_of(token.param)
        sealed = self._keys.seal(token, account, digest)
        keys = self._names(account, "pool", "blob", f"seen:{digest}")
        args = (digest, sealed, _ms(self._times.life), _ms(SEEN), self._capacity)
        taken = bool(await self._link.run(_PUT, keys, args))
        self._bells.ring(account)
        return taken

    async def claim(self, account: str, claim: str, *, wait: bool) -> Granted | NotYet:
        keys = self._names(account, "pool", "blob", f"claim:{_checked(claim)}", "line", "places")
        args = (claim, _ms(self._times.least), int(wait), _ms(self._times.place), self._queue)
        answer: list[Any] = await self._link.run(_CLAIM, keys, args, policy=REPEATABLE)
        if answer[0] != 0:
            return _REASONS[answer[0]]
        _, digest, sealed, ends = answer
        self._bells.ring(account)
        token = self._keys.open(sealed, account, digest.decode())
        if token is None:  # sealed by a secret that is gone, or not by us at all: as good as no token
            return await self._without(keys[2], account, claim, wait=wait)
        return Granted(token, ends / 1000)

    async def leave(self, account: str, claim: str) -> None:
        for key in self._names(account, "line", "places"):
            await self._link.call("ZREM", key, claim, policy=REPEATABLE)
        self._bells.ring(account)

    async def note(self, account: str, note: Note) -> int:
        keys = self._names(account, "pool", "blob", "challenged", "refused")
        refused = int(await self._link.run(_NOTE, keys, (note.value, _ms(self._times.memory), REFUSALS)))
        self._bells.ring(account)
        return refused

    async def learn(self, account: str, working: str, seconds: float) -> None:
        (key,) = self._names(account, "format")
        await self._link.call("SET", key, working, "PX", _ms(seconds), policy=REPEATABLE)

    async def standing(self, account: str) -> Standing:
        keys = self._names(account, "pool", "line", "places", "challenged", "refused", "format")
        answer: list[Any] = await self._link.run(_STANDING, keys, (_ms(self._times.least),), policy=REPEATABLE)
        lives, waiting, waited, challenged, refused, working, working_for = answer
        return Standing(
            lives=tuple(life / 1000 for life in lives),
            waiting=waiting,
            waited=waited / 1000,
            challenged=challenged / 1000,
            refused=refused,
            working=working.decode() or None,
            working_for=working_for / 1000,
        )

    async def first(self, name: str, seconds: float) -> bool:
        (key,) = self._names(_PAGE, f"mark:{_checked(name)}")
        return await self._link.call("SET", key, "1", "NX", "PX", _ms(seconds)) is not None

    def bell(self, account: str) -> asyncio.Event:
        return self._bells.next(account)

    async def aclose(self) -> None:
        self._bells.ring_all()
        await self._link.aclose()

    async def _without(self, kept: str, account: str, claim: str, *, wait: bool) -> Granted | NotYet:
        await self._link.call("DEL", kept, policy=REPEATABLE)
        return await self.claim(account, claim, wait=wait)

    def _names(self, account: str, *names: str) -> tuple[str, ...]:
        return tuple(f"{self._prefix}{{c:{_checked(account)}}}:{name}" for name in names)


def _checked(name: str) -> str:
    """Keep hash tags, blanks and control characters out of key names."""
    if _NAME.fullmatch(name) is None:
        raise ValueError("a name is not made of the characters that one is made of")
    return name


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
