"""
The vault: sealed records in a store that is not trusted. All that others see are credentials and plain bytes.

A record is sealed under its id and version, so that swapped, moved, changed and rolled-back records do not open. A
record that does not open is reported once, raised as Undecryptable, left out of listings and never overwritten.

Theory of operation. The version in a sealed record is the one the store counts, so a record and its version cannot be
recombined. Within one process the vault remembers the newest version it has seen of each record, of those that no
failover undoes, and refuses older ones (after a restore the operator says `forget`). The check record proves, before
anything is written, that the keyring is the one this store was sealed with:

    store                     keyring opens check   told to initialise   outcome
    check record              yes                   -                    open
    check record              no                    -                    KeyringInvalid, nothing written
    records, no check record  -                     -                    KeyringInvalid, nothing written
    empty                     -                     yes                  check record written, open
    empty                     -                     no                   KeyringInvalid, nothing written
"""

import contextlib
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from services.chassis import sealing
from services.chassis.sealing import Place, Purpose, Unopened, Why
from services.credentials import envelope
from services.credentials.errors import Conflict, KeyringInvalid, NotFound, Undecryptable
from services.credentials.keyring import Keyring
from services.credentials.records import Credential
from services.credentials.stores.port import Store, Versioned

NAMESPACE: Final = "zr"
CREDENTIAL: Final = "cred"
CLIENT_KEY: Final = "key"
META: Final = "meta"
CHECK: Final = "check"
SEALED_KINDS: Final = (CREDENTIAL, CLIENT_KEY, META)  # versioned values that the vault seals, and a sweep re-seals

_PURPOSES: Final = {
    CREDENTIAL: Purpose.CREDENTIAL,
    CLIENT_KEY: Purpose.CLIENT_KEY,
    META: Purpose.META,
    "login": Purpose.LOGIN,
    "spool": Purpose.SPOOL,
    "backup": Purpose.BACKUP,
    "captcha": Purpose.CAPTCHA,
}
_CHECK_TEXT: Final = b"zcode-proxy check record 1"
_VALUE: Final = "value"  # the field of a stored value that is sealed as a whole

_Name = tuple[str, str]


class Trouble(msgspec.Struct, frozen=True):
    """A record that did not open. Safe to log, count and audit."""

    kind: str
    id: str
    version: int
    why: Why


def silent(_: Trouble) -> None:
    """Report to nobody."""


class Opened(msgspec.Struct, frozen=True):
    """A stored value, opened. Does not print what it holds."""

    version: int
    data: bytes

    def __repr__(self) -> str:
        return f"Opened(version={self.version})"


class Vault:
    """Sealed reads and writes over one store, with the keyring of the moment. Safe for concurrent use on one loop."""

    def __init__(
        self,
        store: Store,
        keyring: Keyring,
        *,
        namespace: str = NAMESPACE,
        report: Callable[[Trouble], None] = silent,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._namespace = namespace
        self._report = report
        self._random = random
        self._newest: dict[_Name, int] = {}
        self._broken: dict[_Name, int] = {}

    @property
    def keyring(self) -> Keyring:
        """The keyring of the moment."""
        return self._keyring

    # -- the check record

    async def unlock(self, *, initialise: bool = False) -> None:
        """Prove that keyring and store belong together; `initialise` allows to claim a store that is empty."""
        check = await self._store.get(META, CHECK)
        if check is not None:
            self._prove(self._keyring, check)
        elif not await is_empty(self._store):
            raise KeyringInvalid("the store holds records but no check record; restore it, or use another store")
        elif not initialise:
            raise KeyringInvalid("the store is empty and was never initialised: `zcode-proxy init` does it, once")
        else:
            await self._claim()

    async def adopt(self, keyring: Keyring) -> None:
        """Go on with another keyring. KeyringInvalid, and the old one stays, when it does not open the check record."""
        check = await self._store.get(META, CHECK)
        if check is not None:
            self._prove(keyring, check)
        self._keyring = keyring
        self._broken.clear()  # the new keyring may open what the old one did not

    async def _claim(self) -> None:
        value = self._sealed_value(META, CHECK, _CHECK_TEXT, version=1)
        # Another replica may be faster; then the check record is its, and proves this keyring or does not.
        await self._store.put(META, CHECK, value, kid=self._keyring.primary.kid, expected=0)
        await self.unlock()

    def _prove(self, keyring: Keyring, check: Versioned) -> None:
        try:
            text = self._open_with(keyring, META, CHECK, check)[1]
        except Unopened as fault:
            raise KeyringInvalid(f"the keyring is not the one this store was sealed with ({fault.why.value})") from None
        if text != _CHECK_TEXT:
            raise KeyringInvalid("the check record of this store is from another release")

    # -- credentials

    async def read_credential(self, id_: str, *, durable: bool = False) -> Credential:
        """Return a credential; `durable` as the store's. Raises NotFound, Undecryptable."""
        found = await self._read(CREDENTIAL, id_, durable=durable)
        if found is None:
            raise NotFound("there is no such credential")
        return found

    async def credentials(self) -> tuple[Credential, ...]:
        """Return every credential that opens, by id; what does not open is reported and left out."""
        before = dict(self._newest)
        stored = await self._store.scan(CREDENTIAL)
        opened = []
        for id_ in sorted(stored):
            try:
                opened.append(self._credential(id_, stored[id_], before.get((CREDENTIAL, id_), 0)))
            except Undecryptable:
                continue
        return tuple(opened)

    async def write_credential(self, record: Credential, expected: int) -> Credential:
        """
        Store a credential over version `expected` (0: there is none) and return it with its new version.

        Raises Conflict, with nothing written, when the stored version is another one; Undecryptable when what is
        stored did not open.
        """
        open_part, secret = envelope.take_apart(record)
        version = await self._write(CREDENTIAL, record.id, open_part, secret, expected)
        return msgspec.structs.replace(record, version=version)

    async def remove(self, kind: str, id_: str, expected: int) -> None:
        """Remove a record, opened or not, because a person wants it; its versions may start anew. Raises Conflict."""
        if not await self._store.remove(kind, id_, expected=expected):
            raise Conflict("the record was changed meanwhile")
        self._newest.pop((kind, id_), None)
        self._broken.pop((kind, id_), None)

    # -- other stored values

    async def read_value(self, kind: str, id_: str) -> Opened | None:
        """Return a stored value, opened; None when there is none. Raises Undecryptable."""
        before = self._newest.get((kind, id_), 0)
        stored = await self._store.get(kind, id_)
        if stored is None:
            return None
        return Opened(stored.version, self._open(kind, id_, stored, before)[1])

    async def values(self, kind: str) -> dict[str, Opened]:
        """Return every stored value of a kind that opens, by id; what does not open is reported and left out."""
        before = dict(self._newest)
        stored = await self._store.scan(kind)
        opened = {}
        for id_ in sorted(stored):
            try:
                data = self._open(kind, id_, stored[id_], before.get((kind, id_), 0))[1]
            except Undecryptable:
                continue
            opened[id_] = Opened(stored[id_].version, data)
        return opened

    async def write_value(self, kind: str, id_: str, data: bytes, expected: int) -> int:
        """Seal and store a value over version `expected`, return its new version. Raises as `write_credential`."""
        return await self._write(kind, id_, b"", data, expected)

    # -- values that live outside a versioned record: one-time values, the spool, backups

    def seal_value(self, kind: str, id_: str, field: str, version: int, data: bytes) -> bytes:
        """Seal a value for a place of the caller's; nothing is stored."""
        return self._seal(kind, id_, field, version, data)

    def open_value(self, kind: str, id_: str, field: str, version: int, sealed: bytes) -> bytes:
        """Open what `seal_value` sealed for the same place. Raises Undecryptable, and reports it."""
        try:
            return self._unseal(self._keyring, sealed, self._place(kind, id_, field, version))
        except Unopened as fault:
            self._report(trouble := Trouble(kind, id_, version, fault.why))
            raise _undecryptable(trouble) from None

    def derive(self, purpose: Purpose, kid: int | None = None) -> bytes:
        """
        Return a key of 32 bytes for a use other than sealing: the primary's, or that of master key `kid`.

        What is kept, such as a signed line, must keep the kid too. Raises KeyringInvalid when that key is gone.
        """
        key = self._keyring.primary if kid is None else self._keyring.find(kid)
        if key is None:
            raise KeyringInvalid(f"there is no key {kid} in the keyring")
        return sealing.derive(key.material, purpose)

    # -- for a sweep and a restore

    async def reseal(self, kind: str, id_: str) -> bool:
        """
        Seal a stored value anew, under the primary, as the version that follows; all else stays as it is.

        False when there is nothing to do: it is gone, sealed so already, or changed meanwhile. Raises Undecryptable.
        """
        before = self._newest.get((kind, id_), 0)
        stored = await self._store.get(kind, id_)
        if stored is None:
            return False
        parts = self._open(kind, id_, stored, before)
        if envelope.kid_of(stored.value) == self._keyring.primary.kid:
            return False
        try:
            await self._write(kind, id_, *parts, stored.version)
        except Conflict:
            return False
        return True

    async def sealed(self, kind: str) -> dict[str, Versioned]:
        """Return every stored value of a kind as it is stored, by id, if it opens; what does not is reported."""
        before = dict(self._newest)
        stored = await self._store.scan(kind)
        found = {}
        for id_ in sorted(stored):
            with contextlib.suppress(Undecryptable):
                self._open(kind, id_, stored[id_], before.get((kind, id_), 0))
                found[id_] = stored[id_]
        return found

    async def restore(self, kind: str, id_: str, kept: Versioned, expected: int) -> int:
        """
        Seal anew what a backup kept, over version `expected` (0: there is none); returns the new version.

        What is stored there is replaced even if it does not open, because a person wants it. Raises Undecryptable when
        what was kept does not open, Conflict.
        """
        parts = self._unpack(kind, id_, kept)
        self._broken.pop((kind, id_), None)
        return await self._write(kind, id_, *parts, expected)

    def peek(self, kind: str, id_: str, kept: Versioned) -> bytes:
        """Open what a backup kept; nothing is stored or remembered. Raises Undecryptable."""
        return self._unpack(kind, id_, kept)[1]

    def forget(self) -> None:
        """Forget which versions were seen: after a restore, older ones are right."""
        self._newest.clear()
        self._broken.clear()

    # -- inside

    async def _read(self, kind: str, id_: str, *, durable: bool) -> Credential | None:
        before = self._newest.get((kind, id_), 0)
        stored = await self._store.get(kind, id_, durable=durable)
        return None if stored is None else self._credential(id_, stored, before)

    def _credential(self, id_: str, stored: Versioned, before: int) -> Credential:
        parts = self._open(CREDENTIAL, id_, stored, before)
        try:
            return envelope.put_together(id_, stored.version, *parts)
        except Unopened as fault:
            raise self._trouble(CREDENTIAL, id_, stored.version, fault.why) from None

    def _open(self, kind: str, id_: str, stored: Versioned, before: int) -> tuple[bytes, bytes]:
        """Open a stored value that must not be older than `before`, the version known when it was asked for."""
        if stored.version < before:
            raise self._trouble(kind, id_, stored.version, Why.ROLLED_BACK)
        try:
            parts = self._open_with(self._keyring, kind, id_, stored)
        except Unopened as fault:
            raise self._trouble(kind, id_, stored.version, fault.why) from None
        if stored.safe:  # else a failover may bring an older one back, which is no tampering
            self._newest[kind, id_] = max(stored.version, self._newest.get((kind, id_), 0))
        self._broken.pop((kind, id_), None)
        return parts

    def _unpack(self, kind: str, id_: str, kept: Versioned) -> tuple[bytes, bytes]:
        try:
            return self._open_with(self._keyring, kind, id_, kept)
        except Unopened as fault:
            raise _undecryptable(Trouble(kind, id_, kept.version, fault.why)) from None

    def _open_with(self, keyring: Keyring, kind: str, id_: str, stored: Versioned) -> tuple[bytes, bytes]:
        open_part, sealed = envelope.split(stored.value)
        opened = self._unseal(keyring, sealed, self._place(kind, id_, _field(kind), stored.version))
        return open_part, envelope.checked(open_part, opened)

    async def _write(self, kind: str, id_: str, open_part: bytes, secret: bytes, expected: int) -> int:
        if self._broken.get((kind, id_)) == expected:
            raise Undecryptable("the stored record does not open; it is not overwritten")
        version = expected + 1
        sealed = self._seal(kind, id_, _field(kind), version, envelope.vouched(open_part, secret))
        kid = sealing.kid_of(sealed)
        if not await self._store.put(kind, id_, envelope.join(open_part, sealed), kid=kid, expected=expected):
            raise Conflict("the record was changed meanwhile")
        self._newest[kind, id_] = version
        return version

    def _sealed_value(self, kind: str, id_: str, data: bytes, *, version: int) -> bytes:
        return envelope.join(b"", self._seal(kind, id_, _field(kind), version, envelope.vouched(b"", data)))

    def _seal(self, kind: str, id_: str, field: str, version: int, data: bytes) -> bytes:
        return sealing.seal(
            data,
            self._place(kind, id_, field, version),
            purpose=_PURPOSES[kind],
            kid=self._keyring.primary.kid,
            master=self._keyring.primary.material,
            random=self._random(sealing.RANDOM_SIZE),
        )

    def _unseal(self, keyring: Keyring, sealed: bytes, place: Place) -> bytes:
        key = keyring.find(sealing.kid_of(sealed))
        if key is None:
            raise Unopened(Why.UNKNOWN_KEY)
        return sealing.unseal(sealed, place, purpose=_PURPOSES[place.type], master=key.material)

    def _place(self, kind: str, id_: str, field: str, version: int) -> Place:
        return Place(kind, self._namespace, id_, field, version)

    def _trouble(self, kind: str, id_: str, version: int, why: Why) -> Undecryptable:
        """Report a stored record that does not open, once per version of it, and return what to raise."""
        trouble = Trouble(kind, id_, version, why)
        if self._broken.get((kind, id_)) != version:
            self._broken[kind, id_] = version
            self._report(trouble)
        return _undecryptable(trouble)


async def is_empty(store: Store) -> bool:
    """Tell whether a store was never used."""
    for kind in SEALED_KINDS:
        if await store.scan(kind):
            return False
    return True


def _undecryptable(trouble: Trouble) -> Undecryptable:
    return Undecryptable(f"{trouble.kind} record, version {trouble.version}: {trouble.why.value}")


def _field(kind: str) -> str:
    return "secrets" if kind == CREDENTIAL else _VALUE
