"""`zcode-proxy audit verify`."""

from pathlib import Path

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import as_json, complain, say

app = typer.Typer(no_args_is_help=True, help="The log of what was done to keys and logins.")


@app.callback()
def audit() -> None:
    """Make `verify` a command of its own, for there may be more."""


@app.command()
def verify(config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """
    Prove that no line of the audit log was changed, left out, added or moved, and that none is missing at its end.

    Leaves with 1 and names the first line that is wrong.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import audit_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config, quiet=json)
    path = audit_session.log_path(Path(settings.store.dir))
    with store_failures():
        verdict = run(audit_session.verify(settings))
    if json:
        as_json(
            {
                "file": str(path),
                "lines": verdict.head.seq,
                "withoutKey": verdict.unkeyed,
                "line": verdict.line or None,
                "fault": verdict.fault or None,
            }
        )
    elif verdict.fault:
        complain(f"{path}: line {verdict.line} {verdict.fault}; the {verdict.head.seq} before it are proven")
    else:
        say(f"{path}: {verdict.head.seq} lines, all as they were written")
    if verdict.fault:
        raise typer.Exit(Exit.FAILED)
