"""
The credentials service in the test's own event loop: a broker over any store, and clients of it by every transport.

    async with running_broker(tmp_path) as service:
        await service.add(credential("crd_a", api_key="k"))
        async with service.client("unix") as client: ...
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from services.chassis.clock import Clock
from services.chassis.peer.token_file import TokenFile, generate
from services.credentials.app import create_app
from services.credentials.broker import Broker, BrokerSettings, no_keys
from services.credentials.client import CredentialsClient, connect
from services.credentials.contract import Kind, Snapshot
from services.credentials.keyring import Keyring
from services.credentials.leases import KnownKeys
from services.credentials.records import Credential, Secrets
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Store
from services.credentials.token_provider import TokenProvider
from services.credentials.vault import Vault
from tests.support.serving import running_server

MASTER = bytes(range(32))


def credential(
    id_: str = "crd_aaaaaaaaaaaa", *, provider: str = "zai", kind: Kind = Kind.OAUTH, **fields: Any
) -> Credential:
    """Return a record; fields of `Secrets` may be given among the others."""
    held = {name: fields.pop(name) for name in Secrets.__struct_fields__ if name in fields}
    defaults = {"label": "test", "created_at": 0.0, "rotated_at": 0.0, "secrets": Secrets(**held)}
    return Credential(id=id_, provider=provider, kind=kind, **(defaults | fields))


class Notes:
    """An observer that keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []

    def note(self, event: str, subject: str, detail: str = "") -> None:
        self.heard.append((event, subject, detail))

    def count(self, event: str) -> int:
        return sum(heard == event for heard, _, _ in self.heard)


class RunningBroker:
    """A started broker, its store and its vault."""

    def __init__(self, broker: Broker, store: Store, vault: Vault, directory: Path, notes: Notes) -> None:
        self.broker = broker
        self.store = store
        self.vault = vault
        self.directory = directory
        self.notes = notes

    async def add(self, record: Credential) -> Credential:
        return await self.vault.write_credential(record, expected=record.version)

    @asynccontextmanager
    async def client(self, transport: str, **options: Any) -> AsyncIterator[CredentialsClient]:
        """Yield a started client by `app`, `unix` or `http`."""
        token_file = self.directory / "token"
        generate(token_file)
        async with contextlib.AsyncExitStack() as stack:
            address = "app:"
            if transport != "app":
                uds = str(self.directory / f"{secrets.token_hex(4)}.sock") if transport == "unix" else None
                app = create_app(self.broker, tokens=TokenFile(token_file), store=self.store)
                stack.callback(self.broker.end_polls)
                server = await stack.enter_async_context(running_server(app, uds=uds))
                address = f"unix:{uds}" if uds is not None else server.url
            client = connect(address, app=self.broker, token_file=token_file, **options)
            await client.start()
            stack.push_async_callback(client.aclose)
            yield client


@asynccontextmanager
async def running_broker(
    directory: Path,
    *,
    store: Store | None = None,
    providers: Mapping[str, TokenProvider] | None = None,
    settings: BrokerSettings | None = None,
    client_keys: Callable[[], Awaitable[KnownKeys]] = no_keys,
    clock: Clock | None = None,
) -> AsyncIterator[RunningBroker]:
    """Run a broker until the block ends; without a store it is one in memory."""
    store = store or MemoryStore(clock)
    vault = Vault(store, Keyring.generate(MASTER))
    await vault.unlock(initialise=True)
    notes = Notes()
    broker = Broker(
        vault,
        store,
        directory / "spool",
        providers or {},
        settings=settings,
        client_keys=client_keys,
        observer=notes,
        clock=clock,
    )
    await broker.start()
    try:
        yield RunningBroker(broker, store, vault, directory, notes)
    finally:
        await broker.aclose()
        await store.aclose()


async def until(holds: Callable[[], Any], *, seconds: float = 5.0) -> None:
    """Wait until something holds, at most so long."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


async def eventually(holds: Callable[[], Awaitable[Any]], *, seconds: float = 5.0) -> None:
    """As `until`, for what takes an await to find out."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)


def secrets_of(snapshot: Snapshot) -> set[str]:
    """Return what a snapshot's leases would put on the wire."""
    return {lease.secret for lease in snapshot.leases}
