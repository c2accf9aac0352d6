"""`zcode-proxy audit verify`."""

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.office_options import ServerOption, TokenFileOption
from services.cli.output import as_json, complain, say

app = typer.Typer(no_args_is_help=True, help="The log of what was done to keys and logins.")


@app.callback()
def audit() -> None:
    """Make `verify` a command of its own, for there may be more."""


@app.command()
def verify(
    config: ConfigOption = None,
    *,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    Prove that no line of the audit log was changed, left out, added or moved, and that none is missing at its end.

    Leaves with 1 and names the first line that is wrong.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import audit_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    with store_failures():
        verdict = run(audit_session.verify(desk))
    if json:
        as_json(
            {
                "file": verdict.file,
                "lines": verdict.lines,
                "withoutKey": verdict.without_key,
                "line": verdict.line or None,
                "fault": verdict.fault or None,
            }
        )
    elif verdict.fault:
        complain(f"{verdict.file}: line {verdict.line} {verdict.fault}; the {verdict.lines} before it are proven")
    else:
        say(f"{verdict.file}: {verdict.lines} lines, all as they were written")
    if verdict.fault:
        raise typer.Exit(Exit.FAILED)
