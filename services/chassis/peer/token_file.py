"""
The file with the token between our processes, read anew whenever it changes, because whoever rotates it will not
restart us. The service accepts every line, so that a token can be replaced without a refused call: add the new one
below, let the gateways have it, take the old one away. A gateway presents the first line.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from services.chassis.peer.proof import TOKEN_LENGTH

_LARGEST: Final = 16 * 1024
_MOST: Final = 8  # tokens


class TokenFileInvalid(Exception):
    """The file is missing, unreadable or holds no usable token; the message says which and never what it holds."""


class TokenFile:
    """The tokens of one file. Looks at the file's time on each use and reads it when that has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tokens: tuple[str, ...] = ()

    @property
    def tokens(self) -> tuple[str, ...]:
        """All that are accepted. Raises TokenFileInvalid."""
        try:
            status = self._path.stat()  # follows the links by which Kubernetes swaps a mounted secret
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._tokens = _tokens(self._path.read_bytes()[: _LARGEST + 1])
                self._seen = seen
        except OSError as error:
            raise TokenFileInvalid(f"the token file {self._path} cannot be read: {error.strerror}") from None
        if not self._tokens:
            raise TokenFileInvalid(
                f"the token file {self._path} holds no token: one a line, {TOKEN_LENGTH} characters or more"
            )
        return self._tokens

    @property
    def token(self) -> str:
        """The one to present. Raises TokenFileInvalid."""
        return self.tokens[0]


def _tokens(content: bytes) -> tuple[str, ...]:
    if len(content) > _LARGEST:
        return ()
    lines = [line.strip() for line in content.decode("ascii", "replace").splitlines()]
    return tuple(line for line in lines if len(line) >= TOKEN_LENGTH and line.isascii() and line.isprintable())[:_MOST]


def generate(path: Path, *, mode: int = 0o640) -> None:
    """Make a token file with a random token if there is none; the mode is that for a sidecar's shared directory."""
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was first, and its token is as good
    finally:
        draft.unlink()
