"""
Which master key each record is under, by what is sealed and not by what the store says of it.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from services.chassis.sealing import Unopened
from services.credentials import envelope, replicas
from services.credentials.stores.port import Store, Versioned
from services.credentials.vault import SEALED_KINDS

UNREADABLE: Final = 0  # in a count: records that do not say which key they are under

Name = tuple[str, str]


async def records(store: Store) -> dict[Name, Versioned]:
    """Return every sealed record by kind and id. What a replica says of itself is its own to renew."""
    return {
        (kind, id_): stored
        for kind in SEALED_KINDS
        for id_, stored in (await store.scan(kind)).items()
        if not id_.startswith(replicas.PREFIX)
    }


def kid_of(stored: Versioned) -> int:
    """Return the key of a record."""
    try:
        return envelope.kid_of(stored.value)
    except Unopened:
        return UNREADABLE


def count(found: Iterable[Versioned]) -> Counter[int]:
    """Return records per key."""
    return Counter(kid_of(stored) for stored in found)
