"""Whom to trust over TLS besides the machine's own authorities."""

import ssl
from pathlib import Path


class CaFileUnusable(Exception):
    """The authorities to trust cannot be read; says which setting names them."""


def context_of(ca_file: str | None, setting: str) -> ssl.SSLContext | None:
    """Return what trusts the authorities of a file, None where none is named. Raises CaFileUnusable."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(Path(ca_file).expanduser()))
    except OSError as error:
        raise CaFileUnusable(f"{setting} cannot be used: {error.strerror or error}") from None
