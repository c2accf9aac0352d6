"""Reads a small text file that a setting names."""

from pathlib import Path
from typing import Final

_MOST: Final = 1024 * 1024  # bytes; a wrong path may be a device or a disk image


def read_text(name: str) -> str:
    """Read a small UTF-8 file; `~` is the home directory. Raises OSError or UnicodeDecodeError."""
    path = Path(name).expanduser()
    if path.is_dir():
        raise IsADirectoryError(21, "is a directory")
    with path.open("rb") as file:
        content = file.read(_MOST + 1)
    if len(content) > _MOST:
        raise OSError(27, "larger than 1 MiB")
    return content.decode("utf-8-sig")
