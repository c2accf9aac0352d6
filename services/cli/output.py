"""
What the commands print: tables on a terminal, tab-separated lines in a pipe, JSON when asked; complaints on stderr.

Text is never read as Rich markup, because model names may hold brackets (`glm-5.2[1m]`). Rich honours NO_COLOR.
"""

import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence

from services.cli.exits import Exit

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings."""
    from rich.console import Console  # noqa: PLC0415 -- heavy, and a process that serves prints nothing with it
    from rich.table import Table  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415 -- as above

    console = Console()
    if not console.is_terminal:
        for row in (columns, *rows):
            _write("\t".join(row) + "\n")
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(grid)


def as_json(value: object) -> None:
    """Print one JSON document."""
    _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print a line of the answer."""
    _write(text + "\n")


def _write(text: str) -> None:
    """Leave with 1 when nobody hears it: a new key is said only once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        if error.errno != errno.EPIPE:  # else nobody reads any more, as behind `head`
            complain(f"the answer could not be written: {error.strerror}")
        sys.exit(Exit.FAILED)


def complain(text: str, *, kind: str = "error") -> None:
    """Print a line on stderr, `error: …` or `warning: …`."""
    from rich.console import Console  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415 -- as above

    style = STYLES["fail" if kind == "error" else "warn"]
    Console(stderr=True, soft_wrap=True).print(Text.assemble((f"{kind}: ", style), text))
