"""`zcode-proxy version`."""

import platform
from importlib import metadata
from typing import Annotated

import typer

from services.cli.output import as_json, say


def installed_version() -> str:
    """Return the distribution's version; a bare source tree has none."""
    try:
        return metadata.version("zcode-proxy")
    except metadata.PackageNotFoundError:
        return "unknown (source tree)"


def version(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the version."""
    if json:
        as_json({"version": installed_version(), "python": platform.python_version(), "system": platform.platform()})
    else:
        say(f"zcode-proxy {installed_version()} (Python {platform.python_version()})")
