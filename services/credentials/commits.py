"""
From a provider's answer to the stored record: spool, commit over the very secrets it was got with, unspool.

Theory of operation. A Redis master that the sentinels have given up goes on answering for a while, and what it takes is
lost. So an answer leaves the spool when a write was vouched for by replicas, and not because a read shows it, or
something newer, in the store: that may be this very write on a server that nobody listens to any more. And a token is
used only once its intent was vouched for, and with it all that the server had before: so at most one answer of a login
is on no other server, and whoever has it in his spool brings it again.

Which of two answers wins is decided here alone (`refresh.prevails`), so it does not matter how late a commit comes,
from a paused process or from the spool of a dead one.
"""

import contextlib
import logging
import secrets
from typing import Final, Protocol

from services.credentials.claims import Claims
from services.credentials.errors import Conflict, NotFound, Undecryptable
from services.credentials.failpoints import NO_FAILPOINTS, Failpoints
from services.credentials.records import Credential
from services.credentials.refresh import contested, epoch, prevails, renewed
from services.credentials.spool import Entry, Spool
from services.credentials.stores.port import Granted, Store, StoreUnavailable
from services.credentials.vault import Vault

_INTENT: Final = "intent"
_INTENT_LIFE: Final = 7 * 86_400.0  # seconds; a token that nobody has used again by then is no longer in doubt
_ANY_VERSION: Final = 2**62
_TRIES: Final = 16  # against reports that change the record's state at the same time

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Hears of what matters: metrics and the audit log. Never given a secret."""

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Take note; the events are those of promises.md C13."""


class Several:
    """Tells several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Tell each."""
        for observer in self._observers:
            observer.note(event, subject, detail)


class Commits:
    """Safe for concurrent use on one event loop, and by several processes."""

    def __init__(
        self,
        vault: Vault,
        store: Store,
        spool: Spool,
        claims: Claims,
        *,
        observer: Observer,
        failpoints: Failpoints = NO_FAILPOINTS,
    ) -> None:
        self._vault = vault
        self._store = store
        self._claims = claims
        self._spool = spool
        self._observer = observer
        self._failpoints = failpoints
        self.pending: dict[str, Credential] = {}  # answered, but the store does not have it yet
        self.holders: dict[str, str] = {}  # who has the lease on what is pending, for whoever commits it
        self._unspooled: dict[str, Entry] = {}  # pending ones that no disk took: there is no other copy
        self.contested: set[str] = set()  # two answers for one token: to be made anew at once

    async def take(self, basis: Credential, entry: Entry) -> Credential | None:
        """
        Keep an answer whatever happens, then put it into the store.

        Returns the record as it is then, ours or a newer one; None when the store is away: `pending` has it then, and
        `replay` commits it. Raises NotFound, Undecryptable.
        """
        name: str | None = None
        try:
            name = await self._spool.append(entry)
        except OSError as error:  # better unspooled than lost
            _log.error("an answer could not be spooled: %s", error.strerror)
            self._observer.note("spool.fail", entry.credential_id)
        await self._failpoints.at("refresh.after_spool")
        record = await self.commit(name, entry)
        if record is None:
            self.pending[basis.id] = _after(basis, entry)
            if name is None:
                self._unspooled[basis.id] = entry
            self._observer.note("store.degraded", basis.id, f"answer kept in {'the spool' if name else 'memory'}")
        return record

    async def commit(self, name: str | None, entry: Entry) -> Credential | None:
        """Put an answer into the store, and out of the spool; None when the store is away. Raises as `take`."""
        id_ = entry.credential_id
        try:
            record: Credential | None = await self._write(entry)
        except NotFound:  # logged out meanwhile
            record = None
        except StoreUnavailable:
            return None
        self.pending.pop(id_, None)
        if self._unspooled.get(id_) is entry:
            del self._unspooled[id_]
        if name is not None:
            await self._spool.remove(name)
        if record is None:
            raise NotFound("there is no such credential any more")
        await self.forget(id_, entry.epoch)
        return record

    async def _write(self, entry: Entry) -> Credential:
        for _ in range(_TRIES):
            record = await self._vault.read_credential(entry.credential_id)
            if contested(record, entry.epoch, entry.fence):
                self.contested.add(record.id)
                self._observer.note("refresh.contested", record.id)
            if not prevails(record, entry.epoch, entry.fence):
                record = await self._vault.read_credential(entry.credential_id, durable=True)
                if not prevails(record, entry.epoch, entry.fence):
                    return record
            await self._failpoints.at("refresh.before_commit")
            new = _after(record, entry)
            with contextlib.suppress(Conflict):
                written = await self._vault.write_credential(new, expected=record.version)
                await self._failpoints.at("refresh.after_commit")
                self._observer.note("refresh.ok", record.id)
                return written
        raise StoreUnavailable("the record changes faster than it can be written")

    async def recover(self, credential_id: str) -> None:
        """Commit what is kept here of one credential, whose lease the caller has."""
        for name, entry in await self._kept():
            if entry.credential_id == credential_id:
                await self.commit(name, entry)

    async def replay(self, lease: float) -> int:
        """Commit what is kept here and nobody is working on; returns how many answers wait on, for the store."""
        left = 0
        for name, entry in await self._kept():
            try:
                left += not await self._replay(name, entry, lease)
            except (NotFound, Undecryptable):  # what does not open now is looked at again, but not waited for
                continue
            except StoreUnavailable:
                left += 1
        return left

    async def _kept(self) -> list[tuple[str | None, Entry]]:
        """Return every answer that the store may not have, with its name in the spool."""
        for id_, entry in list(self._unspooled.items()):
            with contextlib.suppress(OSError):  # was said when it happened first
                await self._spool.append(entry)
                self._unspooled.pop(id_, None)
        return [*await self._spool.entries(), *((None, entry) for entry in self._unspooled.values())]

    async def _replay(self, name: str | None, entry: Entry, lease: float) -> bool:
        id_ = entry.credential_id
        owner = entry.owner or self.holders.get(id_) or secrets.token_hex(8)
        # Until the answer is in the store, the store has a token that has been used: nobody else is to use it again.
        # Whoever has the lease already, because it ended while the store was away, may be about to: all the more reason
        # to commit now. Which answer wins does not depend on leases.
        if isinstance(await self._claims.acquire(id_, owner, ttl=lease, seen=_ANY_VERSION), Granted):
            self.holders[id_] = owner
        try:
            committed = await self.commit(name, entry) is not None
        except (NotFound, Undecryptable):
            await self._let_go(id_, owner)
            raise
        if committed:
            await self._let_go(id_, owner)
        return committed

    async def _let_go(self, id_: str, owner: str) -> None:
        if self.holders.get(id_) == owner:
            del self.holders[id_]
            await self._claims.give_back(id_, owner)

    # -- intents: that a token was, or is about to be, used

    async def intend(self, record: Credential, fence: int) -> bool:
        """Note that a record's token is about to be used; False when somebody has noted the same before."""
        name = _intent(record.id, epoch(record))
        return await self._store.put_once(_INTENT, name, b"%d" % fence, ttl=_INTENT_LIFE, durable=True)

    async def forget(self, credential_id: str, epoch_: str) -> None:
        """Take the note away: the token was not used, or matters no more."""
        with contextlib.suppress(StoreUnavailable):  # it ends by itself
            await self._store.take(_INTENT, _intent(credential_id, epoch_))


def _after(record: Credential, entry: Entry) -> Credential:
    return renewed(record, entry.answer, entry.at, made_from=entry.epoch, fence=entry.fence)


def _intent(credential_id: str, epoch_: str) -> str:
    return f"{credential_id}.{epoch_[:16]}"
