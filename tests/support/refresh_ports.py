"""The ports of `refresh_world.py`: what a replica does to the world passes here, or does not."""

import asyncio
import errno
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import msgspec

from services.credentials.broker import Broker, BrokerSettings
from services.credentials.keyring import Keyring
from services.credentials.records import Secrets
from services.credentials.renewals import RenewalSettings
from services.credentials.stores.port import Busy, Granted, Stale, StoreUnavailable, Versioned
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)
from services.credentials.vault import Vault
from tests.support.credentials import MASTER
from tests.support.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from tests.support.refresh_world import World

DEADLINE: Final = 0.5  # seconds of a store's call
_LOOKS: Final = ("scan", "generation", "now")  # what replicas do all day
_TOO_LATE: Final = 1.0  # seconds after which the store makes no write any more


class Replica:
    """A process that can be killed and stopped."""

    def __init__(self, world: "World", disk: int) -> None:
        self.world = world
        self.disk = disk
        self.alone = False
        self.behind: Any = None  # the store that it goes on asking, although another one has taken over
        self._dead = False
        self._ending: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._fate: list[tuple[int, str]] = []  # after so many passes of a port: kill, end or stop
        self.broker: Broker

    @property
    def dead(self) -> bool:
        return self._dead

    async def start(self) -> None:
        here.set(self)
        world = self.world
        store: Any = Port(self)
        vault = Vault(store, Keyring.generate(MASTER))
        self.broker = Broker(
            vault,
            store,
            world.directory / f"disk{self.disk}",
            {"zai": world.vendor},
            settings=BrokerSettings(renewal=RenewalSettings(policy=world.rules.policy)),
            observer=world.notes,
            clock=world.clock,
        )
        await self.broker.start()

    def will(self, what: str, after: int) -> None:
        self._fate.append((after, what))

    async def passes(self, *, counts: bool = True) -> None:
        """Pass a port: here it dies, ends or stops, if that is its fate; a dead one never comes out."""
        if self.world.over:
            raise asyncio.CancelledError
        if counts:
            self._fate = [(after - 1, what) for after, what in self._fate]
        for _, what in [one for one in self._fate if one[0] < 0]:
            self.world.say(f"{what} {self.disk}")
            match what:
                case "kill":
                    self._dead = True
                case "end":
                    if self._ending is None:
                        self._ending = self.world.tasks.start(self._end(), name="end")
                case "stop":
                    self._stop(self.world.rules.stopped)
        self._fate = [one for one in self._fate if one[0] >= 0]
        if counts and self._going.is_set() and self.world.random.random() < self.world.rules.starved:
            self._stop(self.world.rules.starvation)
        if not self._dead:
            await self._going.wait()
        if self._dead:
            await asyncio.Event().wait()

    def _stop(self, longest: float) -> None:
        self._going.clear()
        asyncio.get_running_loop().call_later(self.world.random.uniform(0.0, longest), self._going.set)

    async def cut_off(self) -> None:
        """The store is away for this replica alone, for a while."""
        self.alone = True
        self.world.say(f"cut off {self.disk}")
        await asyncio.sleep(self.world.random.uniform(0.0, self.world.rules.outage))
        self.alone = False
        self.world.say(f"back {self.disk}")

    async def _end(self) -> None:
        await self.broker.aclose()
        self.world.say(f"ended {self.disk}")
        self._dead = True


here: ContextVar[Replica] = ContextVar("replica")  # whose work this is


class Port:
    """A replica's way to the store."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._world = replica.world

    async def get(self, *args: Any, **words: Any) -> Versioned | None:
        return await self._do("get", *args, **words)

    async def scan(self, *args: Any) -> dict[str, Versioned]:
        return await self._do("scan", *args)

    async def put(self, *args: Any, **words: Any) -> bool:
        return await self._do("put", *args, **words)

    async def acquire(self, *args: Any, **words: Any) -> Granted | Busy | Stale:
        return await self._do("acquire", *args, **words)

    async def renew(self, *args: Any, **words: Any) -> bool:
        return await self._do("renew", *args, **words)

    async def release(self, *args: Any, **words: Any) -> None:
        return await self._do("release", *args, **words)

    async def put_once(self, *args: Any, **words: Any) -> bool:
        return await self._do("put_once", *args, **words)

    async def take(self, *args: Any, **words: Any) -> bytes | None:
        return await self._do("take", *args, **words)

    async def generation(self) -> int:
        return await self._do("generation")

    async def now(self) -> float:
        return await self._do("now")

    async def changed(self, after: int, *, wait: float) -> int:
        until = asyncio.get_running_loop().time() + wait
        while True:
            generation: int = await self._do("generation")
            if generation > after or asyncio.get_running_loop().time() > until:
                return generation
            await asyncio.sleep(0.8)

    async def _do(self, name: str, *args: Any, **words: Any) -> Any:
        world, chance = self._world, self._world.random
        counts = name not in _LOOKS
        await self._replica.passes(counts=counts)
        await asyncio.sleep(chance.uniform(0.0, 0.02))
        await self._replica.passes(counts=counts)
        if world.away or self._replica.alone or chance.random() < world.trouble(world.rules.stumbles):
            late = chance.choice((None, 0.0, chance.uniform(0.0, 2.0)))
            if late is not None and not world.deaf and not self._replica.alone:
                self._later(late, name, args, words)
            if counts:
                world.say(f"stumble {self._replica.disk} {name} {late}")
            await asyncio.sleep(DEADLINE)
            raise StoreUnavailable("away")
        behind = self._replica.behind
        result = await getattr(behind or world.store, name)(*args, **words)
        if behind is not None and (name == "put" or words.get("durable")):
            world.say(f"nobody vouches {self._replica.disk} {name} {[a for a in args if isinstance(a, str)][1:]}")
            await asyncio.sleep(DEADLINE)
            raise StoreUnavailable("0 of 1 replicas have the write")
        if world.rules.superseded and not words.get("durable"):
            result = _doubtful(result)
        if name in ("acquire", "put", "put_once", "take", "release"):
            world.say(f"{self._replica.disk} {name} {[a for a in args if isinstance(a, str)][1:]} -> {result!r:.40}")
        await asyncio.sleep(chance.uniform(0.0, 0.02))
        await self._replica.passes(counts=counts)
        return result

    def _later(self, seconds: float, name: str, args: Any, words: Any) -> None:
        """What was given up may happen all the same, but a write never later than it says."""
        if name == "put" and seconds > _TOO_LATE:
            return

        async def work() -> None:
            await asyncio.sleep(seconds)
            await getattr(self._world.store, name)(*args, **words)

        _ = self._world.tasks.start(work(), name="late")


def _doubtful(result: Any) -> Any:
    """Return values as a store with replicas does, which does not know what they have."""
    if isinstance(result, Versioned):
        return msgspec.structs.replace(result, safe=False)
    return {id_: _doubtful(value) for id_, value in result.items()} if isinstance(result, dict) else result


class Vendor:
    """A provider whose refresh tokens are good for one use, or for some seconds after it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.current = "token-0"
        self.calls = 0
        self.reused = 0
        self.vain = 0
        self._replaced: dict[str, float] = {}

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        assert mode is RefreshMode.ROTATE
        world, rules, replica = self._world, self._world.rules, here.get()
        await replica.passes()
        await asyncio.sleep(world.random.uniform(0.0, 0.05))
        await replica.passes()
        if world.random.random() < world.trouble(rules.unreachable):
            raise TransientFailure("no connection")
        good = self._use(secrets.refresh_token or "", replica)
        cut = world.random.random() < world.trouble(rules.cut)
        if world.random.random() < world.trouble(rules.away_at_answer):
            _ = world.tasks.start(replica.cut_off() if rules.alone else world.outage(), name="outage")
        await asyncio.sleep(world.random.uniform(0.0, 1.0))
        await replica.passes()
        if cut:
            raise OutcomeUnknown("cut")
        if not good:
            raise InvalidGrant("no")
        return RefreshedSecrets(
            secrets=msgspec.structs.replace(secrets, refresh_token=good, api_key=f"key-{good}"),
            expires_in=world.random.uniform(*rules.life),
        )

    def revoke(self) -> None:
        """Take no token any more."""
        self._world.say("revoked")
        self.current = ""
        self._replaced.clear()

    def _use(self, token: str, replica: Replica) -> str | None:
        now = asyncio.get_running_loop().time()
        self.calls += 1
        self.reused += token in self._replaced
        self.vain += self._world.store.lost
        self._world.say(f"{replica.disk} uses {token}{' AGAIN' * (token in self._replaced)}")
        if token != self.current and now - self._replaced.get(token, float("-inf")) > self._world.rules.grace:
            return None
        self._replaced[self.current] = now
        self.current = f"token-{self.calls}"
        return self.current


class PortLoop(VirtualLoop):
    """A disk is a port as well."""

    async def around_thread(self) -> None:
        replica = here.get()
        await asyncio.sleep(replica.world.random.uniform(0.0, 0.01))
        await replica.passes()

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        world = here.get().world
        if world.random.random() < world.trouble(world.rules.full_disk) and "_append" in repr(func):
            world.say("disk full")
            func = _full
        return super().run_in_executor(executor, func, *args)


def _full() -> None:
    raise OSError(errno.ENOSPC, "no space left on device")
