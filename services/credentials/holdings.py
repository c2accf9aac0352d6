"""
What this process knows of the store: the records, the client keys, and the snapshot made of them.

Long polls wait here for the next snapshot. A snapshot's generation is the store's, read before the records, so that it
never claims more than it shows; a refresh that only the spool knows of counts one up from there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from services.credentials.contract import Snapshot
from services.credentials.errors import Unavailable
from services.credentials.leases import KnownKeys, assemble
from services.credentials.records import Credential
from services.credentials.store_time import StoreTime
from services.credentials.stores.port import Store
from services.credentials.vault import Vault


class Holdings:
    """Records and snapshot of one process. `pending` are the records that are newer than the store's."""

    def __init__(
        self,
        vault: Vault,
        store: Store,
        *,
        time: StoreTime,
        pending: Mapping[str, Credential],
        client_keys: Callable[[], Awaitable[KnownKeys]],
    ) -> None:
        self._vault = vault
        self._store = store
        self._time = time
        self._pending = pending
        self._client_keys = client_keys
        self._credentials: dict[str, Credential] = {}
        self._known = KnownKeys()
        self._snapshot: Snapshot | None = None
        self._published = asyncio.Event()
        self._loading = asyncio.Lock()
        self._ended = False

    @property
    def generation(self) -> int:
        """Of the newest snapshot; -1 before the first."""
        return -1 if self._snapshot is None else self._snapshot.generation

    @property
    def records(self) -> Mapping[str, Credential]:
        """The records by id, as the store had them last."""
        return self._credentials

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot. Raises Unavailable before there is one."""
        if self._snapshot is None:
            raise Unavailable("the store has not been read yet")
        return self._snapshot

    async def load(self) -> None:
        """Read everything anew. Raises StoreUnavailable, and what was known stays."""
        async with self._loading:
            generation = await self._store.generation()
            await self._time.sample(self._store)
            records = await self._vault.credentials()
            known = await self._client_keys()
            self._credentials = {record.id: record for record in records}
            self._known = known
            self._publish(generation)

    def learn(self, record: Credential) -> None:
        """Know a record as this process has just stored or read it; who polls sees it when everything is read anew."""
        known = self._credentials.get(record.id)
        if known is not None and known.version < record.version:
            self._credentials[record.id] = record

    def overlay(self) -> None:
        """Show what is pending, although the store knows nothing of it."""
        if self._snapshot is not None:
            self._publish(self.generation)

    async def newer(self, after: int, wait: float) -> Snapshot:
        """Return a snapshot above generation `after` as soon as there is one, or what there is after `wait` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while self.generation <= after and not self._ended:
                    await self._published.wait()
        return self.snapshot()

    def end_polls(self) -> None:
        """Let every long poll return now, and from now on at once."""
        self._ended = True
        self._announce()

    def _publish(self, generation: int) -> None:
        shown = [self._shown(record) for record in self._credentials.values()]
        snapshot = assemble(generation, shown, self._known, self._time.now())
        if generation > self.generation or self._snapshot is None:
            self._snapshot = snapshot
            self._announce()
        elif msgspec.structs.replace(snapshot, generation=self.generation) != self._snapshot:
            # The store's number is behind what an overlay counted up to.
            self._snapshot = msgspec.structs.replace(snapshot, generation=self.generation + 1)
            self._announce()

    def _shown(self, record: Credential) -> Credential:
        pending = self._pending.get(record.id)
        if pending is None or pending.version < record.version:
            return record
        return pending

    def _announce(self) -> None:
        """Wake who waits now; who comes later waits for the next event."""
        self._published.set()
        self._published = asyncio.Event()
