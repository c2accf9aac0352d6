"""
The keyring: which master keys there are, and which of them seals. Pure; `keyring_file.py` reads and writes it.

    {"primary": 7, "keys": [{"kid": 6, "b64": "…", "state": "decrypt"}, {"kid": 7, "b64": "…", "state": "primary"}]}

    state     seals  opens  which key
    primary   yes    yes    exactly one
    decrypt   no     yes    on its way to being primary, or on its way out
    retired   no     yes    no record needs it any more; kept 30 days for backups, then deleted

A keyring never changes; `added`, `promoted`, `retired` and `without` return the next one. Source: promises.md C1.3.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, Self, cast

import msgspec

from services.chassis import sealing
from services.credentials.errors import KeyringInvalid

HIGHEST_KID: Final = 2**32 - 1
_FIELDS: Final = {"primary", "keys"}
_KEY_FIELDS: Final = {"kid", "b64", "state"}


class KeyState(Enum):
    """What a master key is for."""

    PRIMARY = "primary"
    DECRYPT = "decrypt"
    RETIRED = "retired"


class MasterKey(msgspec.Struct, frozen=True):
    """One master key. `material` never prints."""

    kid: int
    material: bytes
    state: KeyState

    def __repr__(self) -> str:
        return f"MasterKey(kid={self.kid}, state={self.state.value})"


class Keyring:
    """Valid by construction, in the order of the file. Prints as numbers and states."""

    __slots__ = ("_keys", "primary")

    def __init__(self, keys: Sequence[MasterKey]) -> None:
        primaries = [key for key in keys if key.state is KeyState.PRIMARY]
        if faults := [*_key_faults(keys), *_primary_faults(primaries)]:
            raise _invalid(faults)
        self._keys = {key.kid: key for key in keys}
        self.primary: Final = primaries[0]

    @classmethod
    def generate(cls, random: bytes) -> Self:
        """Return a keyring of one key, made of 32 random bytes."""
        return cls([MasterKey(1, random, KeyState.PRIMARY)])

    @classmethod
    def parse(cls, document: bytes) -> Self:
        """Read a keyring file; KeyringInvalid names every fault in it, and nothing of a key."""
        try:
            parsed = msgspec.json.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _invalid(["it is not JSON"]) from None
        if not isinstance(parsed, dict):
            raise _invalid(["it is not a JSON object"])
        reader = _Reader(parsed)
        if reader.faults:
            raise _invalid([*reader.faults, *_key_faults(reader.keys)])
        return cls(reader.keys)

    def dump(self) -> bytes:
        """Write a keyring file. What this returns is secret."""
        keys = [
            {"kid": key.kid, "b64": base64.b64encode(key.material).decode(), "state": key.state.value} for key in self
        ]
        return msgspec.json.format(msgspec.json.encode({"primary": self.primary.kid, "keys": keys}), indent=2) + b"\n"

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._keys.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyring) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Keyring({', '.join(map(repr, self))})"

    def find(self, kid: int) -> MasterKey | None:
        """Return the key of a number, None when it is not here."""
        return self._keys.get(kid)

    def fingerprints(self) -> dict[int, str]:
        """Name every key by number and fingerprint; safe to show and to store."""
        return {key.kid: sealing.fingerprint(key.material) for key in self}

    def added(self, material: bytes) -> "Keyring":
        """Return the keyring with one more key, which opens and does not seal yet. Its number is the next one."""
        kid = max(self._keys) + 1
        return Keyring([*self, MasterKey(kid, material, KeyState.DECRYPT)])

    def promoted(self, kid: int) -> "Keyring":
        """Return the keyring with another primary; the former one still opens."""
        return self._restated({self.primary.kid: KeyState.DECRYPT, kid: KeyState.PRIMARY})

    def retired(self, kids: Sequence[int]) -> "Keyring":
        """Return the keyring with these keys retired; they still open, for backups."""
        return self._restated(dict.fromkeys(kids, KeyState.RETIRED))

    def without(self, kid: int) -> "Keyring":
        """Return the keyring without a retired key: what only it opens is lost."""
        key = self._keys.get(kid)
        if key is None or key.state is not KeyState.RETIRED:
            raise KeyringInvalid(f"key {kid} is not retired; only a retired key is deleted")
        return Keyring([key for key in self if key.kid != kid])

    def _restated(self, states: Mapping[int, KeyState]) -> "Keyring":
        if missing := states.keys() - self._keys.keys():
            raise KeyringInvalid(f"there is no key {', '.join(map(str, sorted(missing)))} in the keyring")
        return Keyring([MasterKey(key.kid, key.material, states.get(key.kid, key.state)) for key in self])


class _Reader:
    """Reads what can be read of a document and collects every fault of its shape."""

    def __init__(self, document: dict[str, object]) -> None:
        self.faults: list[str] = []
        self.keys: list[MasterKey] = []
        self._only(document, _FIELDS, "the keyring")
        keys = document.get("keys")
        if not isinstance(keys, list):
            self.faults.append("`keys` is not a list")
            return
        for position, key in enumerate(keys, start=1):
            self._key(key, f"key {position} of the list")
        primaries = [key.kid for key in self.keys if key.state is KeyState.PRIMARY]
        if primaries != [document.get("primary")]:
            self.faults.append("`primary` is not the number of the one key in state primary")

    def _key(self, key: object, where: str) -> None:
        if not isinstance(key, dict):
            self.faults.append(f"{where} is not an object")
            return
        self._only(key, _KEY_FIELDS, where)
        material = _decoded(key.get("b64"))
        if material is None:
            self.faults.append(f"{where} has no base64 in `b64`")
        kid = key.get("kid")
        if type(kid) is not int or not 1 <= kid <= HIGHEST_KID:
            self.faults.append(f"{where} has no `kid` from 1 to {HIGHEST_KID}")
            kid = None
        states = {state.value: state for state in KeyState}
        state = states.get(cast("str", key.get("state"))) if isinstance(key.get("state"), str) else None
        if state is None:
            self.faults.append(f"{where} has no `state` of {', '.join(states)}")
        if kid is not None and material is not None and state is not None:
            self.keys.append(MasterKey(kid, material, state))

    def _only(self, found: dict[str, object], known: set[str], where: str) -> None:
        # How many, not which: whoever pasted a key in the wrong place should not find it in a log.
        if unknown := found.keys() - known:
            self.faults.append(f"{where} has {len(unknown)} unknown field{'s'[: len(unknown) > 1]}")


def _decoded(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _key_faults(keys: Sequence[MasterKey]) -> Iterator[str]:
    kids: set[int] = set()
    materials: set[bytes] = set()
    for key in keys:
        if len(key.material) != sealing.MASTER_SIZE:
            yield f"key {key.kid} has {len(key.material)} bytes instead of {sealing.MASTER_SIZE}"
        if len(set(key.material)) <= 1:
            yield f"key {key.kid} is the same byte over and over"
        if key.kid in kids:
            yield f"there are several keys {key.kid}"
        if key.material in materials:
            yield f"key {key.kid} repeats another key"
        kids.add(key.kid)
        materials.add(key.material)


def _primary_faults(primaries: Sequence[MasterKey]) -> Iterator[str]:
    if len(primaries) != 1:
        yield f"{len(primaries) or 'no'} keys are in state primary instead of one"


def _invalid(faults: Sequence[str]) -> KeyringInvalid:
    return KeyringInvalid(f"the keyring is not usable: {'; '.join(faults)}")
