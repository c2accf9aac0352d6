"""`zcode-proxy models`."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.configuration import settings_or_exit
from services.cli.output import as_json, table
from services.gateway.catalogue import PINNED, Catalogue

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration, as for `serve`.", show_default=False)
]


def models(
    *,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    List the models that /v1/models shows.

    The list only informs: a model that is not on it is forwarded all the same. Add your own under `models:`.
    """
    settings = settings_or_exit(config, quiet=json)
    pinned = {model.id for model in PINNED} - {model.id for model in settings.models}
    listed = [
        {
            "id": model.id,
            "context": model.context,
            "maxOutput": model.max_output,
            "source": "built in" if model.id in pinned else "configuration",
            "default": model.id == settings.default_model,
        }
        for model in Catalogue(settings.models)
    ]
    if json:
        as_json(listed)
        return
    table(
        ("Model", "Context", "Max output", "From", ""),
        [
            (
                str(row["id"]),
                f"{row['context']:,}",
                f"{row['maxOutput']:,}",
                str(row["source"]),
                "default" * bool(row["default"]),
            )
            for row in listed
        ],
    )
