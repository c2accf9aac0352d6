"""`zcode-proxy config check|show|example|reference`."""

from typing import Annotated

import typer

from services.chassis import settings_table
from services.chassis.settings_document import Fault
from services.cli.configuration import load, report, source_words
from services.cli.exits import Exit
from services.cli.output import as_json, complain, say, table
from services.cli.serve import ConfigArgument, NamedConfig
from services.gateway.settings import VARIABLES, GatewaySettings

app = typer.Typer(no_args_is_help=True, help="Check, show and explain the configuration.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_HEAD = """\
zcode-proxy's configuration: every setting with its default, as a comment.
Copy this file to config.yaml and take the "# " from the lines you change; leave the lines with "##".
Keys belong into the environment or into files of their own (apiKeyFile and so on), not into version control.
`zcode-proxy config check` finds mistakes, `zcode-proxy config show` tells what is in force and why.
"""


@app.command()
def check(config: ConfigArgument = None, *, json: JsonOption = False, named: NamedConfig = None) -> None:
    """
    Look for mistakes in the file and the environment: all of them at once, each with its line.

    Leaves with 64 when there are any.
    """
    config = config or named
    loaded = load(config)
    if json:
        as_json(
            {
                "ok": not loaded.faults,
                "faults": [_as_json(fault) for fault in loaded.faults],
                "warnings": [_as_json(warning) for warning in loaded.warnings],
            }
        )
        raise typer.Exit(Exit.CONFIGURATION if loaded.faults else Exit.OK)
    for fault in loaded.faults:
        complain(str(fault))
    for warning in loaded.warnings:
        complain(str(warning), kind="warning")
    if loaded.faults:
        say(f"{len(loaded.faults)} fault{'s' * (len(loaded.faults) > 1)}; nothing would be started")
        raise typer.Exit(Exit.CONFIGURATION)
    say(f"{source_words(config)}: no faults")


@app.command()
def show(
    config: ConfigArgument = None,
    *,
    json: JsonOption = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not a default.")] = False,
    named: NamedConfig = None,
) -> None:
    """Print the configuration in force, secrets masked, and where each value comes from."""
    loaded = load(config or named)
    report(loaded, warnings=not json)
    listed = [
        (row, loaded.place(row.path))
        for row in settings_table.rows(loaded.unwrap(), VARIABLES.names)
        if not changed or loaded.place(row.path).kind != "default"
    ]
    if json:
        as_json({row.path: {"value": row.value, "from": str(place)} for row, place in listed})
    else:
        table(("Setting", "Value", "From"), [(row.path, row.text or "-", str(place)) for row, place in listed])


@app.command()
def example() -> None:
    """
    Print a commented config.yaml with every setting and its default.

    \b
      zcode-proxy config example > config.yaml
    """
    say(settings_table.example(settings_table.rows(GatewaySettings(), VARIABLES.names), _HEAD).rstrip("\n"))


@app.command()
def reference() -> None:
    """Print the table of all settings as Markdown, as in the documentation."""
    say(reference_table().rstrip("\n"))


def reference_table() -> str:
    """Write the table that the documentation shows."""
    return settings_table.markdown(settings_table.rows(GatewaySettings(), VARIABLES.names))


def _as_json(fault: Fault) -> dict[str, str | int | None]:
    place = fault.place
    return {"where": str(place), "line": place.line, "path": fault.path or None, "message": fault.message}
