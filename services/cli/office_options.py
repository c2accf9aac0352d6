"""The options of every command that may speak to a running service, apart from what makes such a command slow."""

from pathlib import Path
from typing import Annotated

import typer

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        envvar="ZCODE_CREDENTIALS_SERVER",
        help="Ask the credentials service behind this admin port, instead of opening the store.",
        show_default=False,
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="The token for --server, one that its admin token file holds.",
        show_default="credentials.adminTokenFile, else admin.token in store.dir",
    ),
]
