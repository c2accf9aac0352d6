"""`zcode-proxy simulator`: the stand-in for the upstream."""

import os
from pathlib import Path
from typing import Annotated

import typer

from services.chassis.settings import Variables, load_settings
from services.chassis.text_file import read_text
from services.cli.exits import Exit
from services.cli.output import complain
from services.simulator.settings import ENV, SimulatorSettings


def simulator(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", min=0, max=65535, help="Port; 0: any free one.", show_default="8090")
    ] = None,
    pace_ms: Annotated[
        float | None, typer.Option("--pace-ms", min=0, help="Milliseconds between two words.", show_default="30")
    ] = None,
    scripts: Annotated[
        Path | None, typer.Option("--scripts", help="File of scripted answers.", show_default=False)
    ] = None,
) -> None:
    """
    Run the simulator: a stand-in for the upstream, for tests, demos and measurements.

    Its answers say that they are simulated. To put a gateway in front of it:

    \b
      zcode-proxy simulator --port 8090

    and in config.yaml: providers.zai.anthropicBase: http://127.0.0.1:8090/api/anthropic
    """
    given = {"host": host, "port": port, "pace_ms": pace_ms, "scripts_file": scripts}
    options = {
        path: (f"--{path.removesuffix('_file').replace('_', '-')}", str(value))
        for path, value in given.items()
        if value is not None
    }
    variables = Variables(names=ENV, prefix="ZCODE_SIMULATOR_")
    loaded = load_settings(SimulatorSettings, None, os.environ, variables, read_file=read_text, options=options)
    for fault in loaded.faults:
        complain(str(fault))
    if loaded.faults:
        raise typer.Exit(Exit.CONFIGURATION)
    from services.simulator import process  # noqa: PLC0415 - the server's imports stay out of the other commands

    raise typer.Exit(process.serve(loaded.unwrap()))
