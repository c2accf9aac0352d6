"""
What the commands print: tables on a terminal, tab-separated lines in a pipe, JSON when asked; complaints on stderr.

Text is never read as Rich markup, because model names may hold brackets (`glm-5.2[1m]`). Rich honours NO_COLOR.
"""

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under headings."""
    console = Console()
    if not console.is_terminal:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(row) + "\n")
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(grid)


def as_json(value: object) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def say(text: str) -> None:
    """Print a line of the answer."""
    sys.stdout.write(text + "\n")


def complain(text: str, *, kind: str = "error") -> None:
    """Print a line on stderr, `error: …` or `warning: …`."""
    style = STYLES["fail" if kind == "error" else "warn"]
    Console(stderr=True, soft_wrap=True).print(Text.assemble((f"{kind}: ", style), text))
