"""A key that a person gives: typed unseen, piped in, or read from a file. Never from the command line."""

import getpass
import sys
from pathlib import Path
from typing import Final

import typer

from services.chassis.secret import Secret
from services.chassis.text_file import read_text
from services.cli.exits import Exit
from services.cli.output import complain

_SHORTEST: Final = 8
_LONGEST: Final = 4096


def new_key(file: Path | None) -> Secret:
    """Ask for a key, or leave with 2 when what is given is none."""
    text = _given(file).strip()
    if not _SHORTEST <= len(text) <= _LONGEST or not text.isascii() or any(not 32 < ord(sign) < 127 for sign in text):
        complain("that is no key: one line of printable characters without spaces is expected")
        raise typer.Exit(Exit.USAGE)
    return Secret(text)


def _given(file: Path | None) -> str:
    if file is not None:
        try:
            return read_text(str(file))
        except (OSError, UnicodeDecodeError) as error:
            complain(f"--key-file: {file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}")
            raise typer.Exit(Exit.USAGE) from None
    if sys.stdin.isatty():
        return getpass.getpass("New key (it is not shown): ")
    return sys.stdin.read(_LONGEST + 2)
