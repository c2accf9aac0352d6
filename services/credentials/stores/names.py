"""
What a kind and an id may look like, and how they are spelled as Redis keys. Pure.

Both are a fixed alphabet, checked before any store is asked, so that nobody can smuggle a hash tag, a wildcard or a
path into a name (promises.md T13). Key names are those of promises.md C2; what C2 does not name follows its pattern.
"""

import re
from typing import Final

import msgspec

from services.chassis.redis.address import DEFAULT_PREFIX

_KIND: Final = re.compile(r"[a-z]{1,16}")
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,32}:")

# Kinds with a short name of their own in C2; `cred` has a hash tag, see below.
_SHORT: Final = {"key": "ck", "login": "o", "nonce": "n"}


def check(kind: str, id_: str) -> None:
    """Raise ValueError unless both are made of the fixed alphabet; never says what the id was."""
    if _KIND.fullmatch(kind) is None or _ID.fullmatch(id_) is None:
        raise ValueError("a kind or an id is not made of the characters that one is made of")


class RecordKeys(msgspec.Struct, frozen=True):
    """The keys of one record. All of them lie in one Cluster slot, so that one script may touch them."""

    record: str
    lease: str
    fence: str
    mark: str  # what is written to find out how far the replicas are


class KeyNames:
    """
    Redis key names under one prefix.

    The generation, its index of ids and the writers under way share one slot of their own (`{g}`), because a script
    cannot reach over slots: see the theory of operation in `redis.py`.
    """

    def __init__(self, prefix: str = DEFAULT_PREFIX) -> None:
        if _PREFIX.fullmatch(prefix) is None:
            raise ValueError("a prefix is letters, digits, - and _, and ends with a colon")
        self._prefix = prefix
        self.generation = f"{prefix}{{g}}:gen"
        self.pending = f"{prefix}{{g}}:pending"
        self.channel = f"{prefix}ev"

    def ids(self, kind: str) -> str:
        """Hash of the ids of a kind; a value counts how often the id was written or removed."""
        return f"{self._prefix}{{g}}:ids:{kind}"

    def record(self, kind: str, id_: str) -> RecordKeys:
        """Return the keys of a versioned value and of its lease."""
        if kind == "cred":
            account = f"{self._prefix}{{a:{id_}}}:"
            return RecordKeys(f"{account}cred", f"{account}lease", f"{account}fence", f"{account}mark")
        name = self.once(kind, id_)
        lease = f"{self._prefix}lease:{{{name}}}"
        return RecordKeys(name, lease, f"{self._prefix}fence:{{{name}}}", f"{lease}:mark")

    def once(self, kind: str, id_: str) -> str:
        """Return the key of a one-time value. An intent lies beside its credential, on the servers that have it."""
        if kind == "intent":
            credential, _, rest = id_.rpartition(".")
            return f"{self._prefix}{{a:{credential}}}:intent:{rest}"
        return f"{self._prefix}{_SHORT.get(kind, kind)}:{id_}"
