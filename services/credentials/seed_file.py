"""
The sealed text in the seed project's credential file (upstream.md 2.6), opened. Pure; nothing is ever sealed so here.

Its key is SHA-256 of a text that anybody on the machine can guess, and its releases put nonce, tag and text together in
two ways. That is why this is an import and not a format of ours.
"""

import base64
import binascii
import platform
import sys
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from services.chassis.sealing import open_foreign

VARIABLE: Final = "ZCODE_PROXY_CREDENTIAL_SECRET"
_TAG: Final = 16
_SHORT_NONCE, _LONG_NONCE = 12, 16

# What Node calls the machine: `process.platform` and `process.arch`.
_PLATFORMS: Final = {"linux": "linux", "darwin": "darwin", "win32": "win32"}
_MACHINES: Final = {
    "x86_64": "x64",
    "amd64": "x64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "ia32",
    "i686": "ia32",
    "armv7l": "arm",
    "ppc64le": "ppc64",
    "s390x": "s390x",
    "riscv64": "riscv64",
}


def seeds(home: str, environ: Mapping[str, str], system: str = sys.platform, machine: str = "") -> tuple[str, ...]:
    """Return the texts that the key may have been made from: the one that was set, else the machine's."""
    given = environ.get(VARIABLE)
    if given is not None:
        return (given,)
    name = (machine or platform.machine()).lower()
    return (f"{home}-{_PLATFORMS.get(system, system)}-{_MACHINES.get(name, name)}",)


def opened(sealed: str, candidates: Iterable[str]) -> bytes | None:
    """Open base64 of nonce, text and tag, or of nonce, tag and text; None when no candidate opens it."""
    try:
        data = base64.b64decode(sealed, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) < _SHORT_NONCE + _TAG:
        return None
    after = _LONG_NONCE + _TAG
    layouts = (
        (data[:_SHORT_NONCE], data[_SHORT_NONCE:]),
        (data[:_LONG_NONCE], data[after:] + data[_LONG_NONCE:after]),
    )
    for seed in candidates:
        key = sha256(seed.encode()).digest()
        for nonce, body in layouts:
            plain = open_foreign(key, nonce, body)
            if plain is not None:
                return plain
    return None
