"""The scripts of the Redis store: `lua/*.lua`, each touching keys of one Cluster slot only."""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

_DIRECTORY: Final = Path(__file__).parent / "lua"


class Script(msgspec.Struct, frozen=True):
    """A script and the SHA-1 that Redis knows it by (EVALSHA); not used as a safeguard."""

    source: str
    sha: str


def _load(name: str) -> Script:
    source = (_DIRECTORY / f"{name}.lua").read_text()
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


BEGIN: Final = _load("begin")
END: Final = _load("end")
GENERATION: Final = _load("generation")
PUT: Final = _load("put")
REMOVE: Final = _load("remove")
ACQUIRE: Final = _load("acquire")
RENEW: Final = _load("renew")
RELEASE: Final = _load("release")

# First number of ACQUIRE's answer; the third is 2, stale.
GRANTED: Final = 0
BUSY: Final = 1
