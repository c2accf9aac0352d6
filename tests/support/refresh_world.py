"""
Replicas of the real broker in virtual time, over a store, disks and a provider that fail in every way they may.

    outcome = World(seed, Rules(kills=3, grace=120.0)).run(directory)

Whatever a replica does to the world passes a port: the store, the provider, the disk. A port may be slow, refuse, do
what was asked and not say so, or do it late; and at a port a replica is killed, asked to end, or stopped for a while.
What happens follows from the seed alone, so that a run that went wrong can be looked at again.
"""

import asyncio
import copy
import random
from pathlib import Path
from typing import Final

import msgspec

from services.chassis.process import Tasks
from services.credentials.contract import State
from services.credentials.keyring import Keyring
from services.credentials.records import Credential
from services.credentials.refresh import Policy
from services.credentials.stores.memory import MemoryStore
from services.credentials.vault import CREDENTIAL, Vault
from tests.support.credentials import MASTER, Notes, credential
from tests.support.refresh_ports import PortLoop, Replica, Vendor

NAME: Final = "crd_aaaaaaaaaaaa"
_SETTLE: Final = 600.0  # seconds of peace in which everything must come right


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in a world; numbers of events are at most, times in seconds."""

    replicas: int = 3
    seconds: float = 120.0  # of trouble
    life: tuple[float, float] = (10.0, 40.0)  # of a credential
    policy: Policy = Policy()
    kills: int = 0
    ends: int = 0
    stops: int = 0
    stopped: float = 60.0  # how long one that is stopped stays so, at most
    starved: float = 0.0  # of the ports that a replica passes find it without a processor, in peace too
    starvation: float = 5.0  # for how long, at most
    outages: int = 0
    outage: float = 20.0  # how long the store stays away, at most
    away_at_answer: float = 0.0  # of the provider's answers find the store away
    alone: bool = False  # then it is away for that replica only
    stumbles: float = 0.0  # of the store's calls
    unreachable: float = 0.0  # of the provider's calls
    cut: float = 0.0  # of its answers
    full_disk: float = 0.0  # of appends to the spool
    superseded: int = 0  # masters that the sentinels give up while they go on answering
    unaware: float = 12.0  # for how long replicas may go on asking such a one, at most
    grace: float = 0.0
    revoked: bool = False  # at some moment of the trouble the provider takes no token any more
    shared: bool = False  # one spool for all
    pods: bool = False  # a new replica has a new disk


class Outcome(msgspec.Struct, kw_only=True):
    """How it ended."""

    calls: int
    reused: int
    lost: bool
    state: State
    losses: int  # how often the stored record became one that needs a login
    said: int  # how often it was said that a login is needed
    vain: int  # calls with a token that the store says is over
    settled: bool  # within _SETTLE: made anew once more, or given up
    expired: float  # share of looks, while there was trouble, that found the stored credential past its end
    trace: list[str]


class _Clock:
    def now(self) -> float:
        return 1_800_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


class _Store(MemoryStore):
    """Knows whether the login that it keeps is over."""

    def __init__(self, world: "World") -> None:
        super().__init__(world.clock)
        self._world = world
        self.losses = 0
        self.lost = False

    def copied(self) -> "_Store":
        """Return what a replica of this server has."""
        other = _Store(self._world)
        kept = {name: copy.deepcopy(getattr(self, name)) for name in ("_values", "_leases", "_once")}
        vars(other).update(kept, losses=self.losses, lost=self.lost, _generation=self._generation)
        return other

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        written = await super().put(kind, id_, value, kid=kid, expected=expected)
        if written and kind == CREDENTIAL:
            was, self.lost = self.lost, (await self._world.read()).state is State.LOGIN_REQUIRED
            self.losses += self.lost and not was
        return written


class World:
    """One run."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.random = random.Random(seed)
        self.rules = rules
        self.clock = _Clock()
        self.vendor = Vendor(self)
        self.notes = Notes()
        self._outages_now = 0
        self.deaf = False  # gone, so that it does not even do what it is asked
        self.tasks = Tasks(on_failure=lambda *_: None)  # a dead replica's do not matter
        self.trace: list[str] = []
        self.directory: Path
        self.store: _Store
        self.replicas: set[Replica] = set()
        self.over = False
        self._peace = False
        self._disks = 0
        self._expired: list[bool] = []

    def run(self, directory: Path) -> Outcome:
        self.directory = directory
        with asyncio.Runner(loop_factory=PortLoop) as runner:
            try:
                return runner.run(self._run())
            finally:
                self.over = True

    @property
    def away(self) -> bool:
        """Whether the store does not answer."""
        return self._outages_now > 0

    def trouble(self, share: float) -> float:
        """Return a share of calls that go wrong; none in peace."""
        return 0.0 if self._peace else share

    def say(self, what: str) -> None:
        self.trace.append(f"{asyncio.get_running_loop().time() - 1000.0:8.3f} {what}")

    async def read(self) -> Credential:
        vault = Vault(self.store, Keyring.generate(MASTER))
        return await vault.read_credential(NAME)

    async def _run(self) -> Outcome:
        self.store = _Store(self)
        vault = Vault(self.store, Keyring.generate(MASTER))
        await vault.unlock(initialise=True)
        now = self.clock.now()
        record = credential(
            NAME,
            api_key="key-0",
            refresh_token="token-0",
            rotated_at=now - 100.0,
            created_at=now,
            expires_at=now + 25.0,
        )
        await vault.write_credential(record, expected=0)
        keepers = [self.tasks.start(self._keep(), name="keeper") for _ in range(self.rules.replicas)]
        looking = self.tasks.start(self._look(), name="look")
        outages = self.tasks.start(self._outages(), name="outages")
        failovers = self.tasks.start(self._failovers(), name="failovers")
        if self.rules.revoked:
            asyncio.get_running_loop().call_later(self.random.uniform(0.0, self.rules.seconds / 2), self.vendor.revoke)
        await asyncio.sleep(self.rules.seconds)
        self._peace = True
        self.say("peace")
        await outages
        await failovers
        looking.cancel()
        outcome = await self._settled()
        for keeper in keepers:
            keeper.cancel()
        return outcome

    async def _keep(self) -> None:
        """Keep a replica running: when it is gone another one comes, on the same machine or elsewhere."""
        rules, chance = self.rules, self.random
        self._disks += 1
        disk = 0 if rules.shared else self._disks
        left = {"kill": rules.kills, "end": rules.ends, "stop": rules.stops}
        while True:
            replica = Replica(self, disk)
            self.replicas.add(replica)
            if not self._peace:
                for what, more in left.items():
                    if more and chance.random() < 0.7:
                        left[what] -= 1
                        replica.will(what, chance.randrange(60))
            starting = self.tasks.start(replica.start(), name="start")
            while not replica.dead:
                await asyncio.sleep(0.1)
            starting.cancel()
            self.replicas.discard(replica)
            await asyncio.sleep(chance.uniform(0.0, 3.0))
            if rules.pods:
                self._disks += 1
                disk = self._disks

    async def _outages(self) -> None:
        for _ in range(self.random.randint(0, self.rules.outages)):
            await asyncio.sleep(self.random.uniform(0.0, 2 * self.rules.seconds / (self.rules.outages + 1)))
            if self._peace:
                return
            await self.outage()

    async def outage(self) -> None:
        """The store goes away for a while."""
        self._outages_now += 1
        self.deaf = self.random.random() < 0.5
        self.say("away")
        await asyncio.sleep(self.random.uniform(0.0, self.rules.outage))
        self._outages_now -= 1
        self.deaf = False
        self.say("back")

    async def _failovers(self) -> None:
        """A copy takes over, and the replicas hear of that one after the other."""
        for _ in range(self.rules.superseded):
            await asyncio.sleep(self.random.uniform(0.0, self.rules.seconds / (self.rules.superseded + 1)))
            before, self.store = self.store, self.store.copied()
            self.say("superseded")
            unaware = sorted(self.replicas, key=lambda each: each.disk)
            for replica in unaware:
                replica.behind = before
            for replica in unaware:
                await asyncio.sleep(self.random.uniform(0.0, self.rules.unaware / len(unaware)))
                self.say(f"aware {replica.disk}")
                replica.behind = None

    async def _settled(self) -> Outcome:
        peace = self.clock.now()
        until = asyncio.get_running_loop().time() + _SETTLE
        settled = False
        while not settled and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(1.0)
            record = await self.read()
            anew = (record.refreshed_at or 0.0) > peace + 20.0 and record.secrets.refresh_token == self.vendor.current
            back = self.clock.now() > peace + self.rules.outage  # whoever may still bring what it got
            settled = (record.state is State.LOGIN_REQUIRED and back) or anew
        await asyncio.sleep(5.0)  # who has just given up says so
        record = await self.read()
        return Outcome(
            calls=self.vendor.calls,
            reused=self.vendor.reused,
            lost=record.secrets.refresh_token != self.vendor.current,
            state=record.state,
            losses=self.store.losses,
            said=self.notes.count("needs_login"),
            vain=self.vendor.vain,
            settled=settled,
            expired=sum(self._expired) / len(self._expired),
            trace=self.trace,
        )

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self._expired.append(self.clock.now() > ((await self.read()).expires_at or 0.0))
