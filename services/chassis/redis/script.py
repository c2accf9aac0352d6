"""A script that runs on the server: one `.lua` file, touching keys of one Cluster slot only."""

import hashlib
from pathlib import Path

import msgspec


class Script(msgspec.Struct, frozen=True):
    """A script and the SHA-1 that Redis knows it by (EVALSHA); not used as a safeguard."""

    source: str
    sha: str


def load(path: Path) -> Script:
    """Read a script."""
    source = path.read_text()
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
