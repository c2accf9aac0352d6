"""A world in which one rotation is run in memory: a store, a keyring, replicas, and time that passes only while it sleeps."""

from collections.abc import Callable

from services.credentials.keyring import Keyring
from services.credentials.replicas import Reporter
from services.credentials.rotation import Hooks, Progress, Rotation
from services.credentials.rotation_plan import Step
from services.credentials.stores.memory import MemoryStore
from services.credentials.vault import Vault
from tests.support.clock import ManualClock
from tests.support.vaults import FIRST, filled


class Holder:
    """A keyring kept in memory."""

    def __init__(self, keyring: Keyring = FIRST) -> None:
        self.keyring = keyring
        self.written = 0
        self.fixed = False

    async def read(self) -> Keyring:
        return self.keyring

    async def write(self, keyring: Keyring) -> None:
        self.keyring = keyring
        self.written += 1


class World:
    """A store with records, a keyring, and time that passes only while the rotation sleeps."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.holder = Holder()
        self.progress: list[Progress] = []
        self.audited: list[tuple[str, int, int]] = []
        self.meanwhile: list[Callable[[], object]] = []

    async def filled(self, count: int = 5) -> "World":
        await filled(self.store, count)
        return self

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.meanwhile:
            await self.meanwhile.pop(0)()  # type: ignore[misc]

    async def audit(self, event: str, kid: int) -> None:
        self.audited.append((event, kid, self.holder.written))

    def rotation(self, *, at_least: int = 0, patience: float = 20.0) -> Rotation:
        return Rotation(
            self.store,
            Vault(self.store, self.holder.keyring),
            self.holder,
            at_least=at_least,
            patience=patience,
            hooks=Hooks(progress=self.progress.append, audit=self.audit),
            clock=self.clock,
            sleep=self.sleep,
        )

    def steps(self) -> list[Step]:
        found: list[Step] = []
        for progress in self.progress:
            if not found or found[-1] is not progress.step:
                found.append(progress.step)
        return found


async def replica(world: World, name: str = "a") -> tuple[Vault, Callable[[], object]]:
    """Return the vault of a replica that has reported once, and what lets it catch up with the keyring."""
    vault = Vault(world.store, FIRST)
    reporter = Reporter(world.store, vault, name)
    await reporter.report()

    async def catch_up() -> None:
        await vault.adopt(world.holder.keyring)
        await reporter.report()

    return vault, catch_up
