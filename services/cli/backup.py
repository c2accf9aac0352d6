"""`zcode-proxy backup` and `zcode-proxy restore`: what is typed and what is printed; `backup_session` does it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from services.cli.auth import ConfigOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import complain, say


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.", show_default=False)],
    *,
    config: ConfigOption = None,
) -> None:
    """
    Write everything that is kept sealed - logins, client keys - into one encrypted file.

    Keep the keyring too, in another place: a backup is worth nothing without it, and everything together with it.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import backup_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config)
    with store_failures():
        made = run(backup_session.make(settings, file))
    say(f"{file}: {made.count} {'value' if made.count == 1 else 'values'}")
    for name in made.left_out:
        complain(f"{name} does not open and is not in the backup")
    if made.left_out:
        raise typer.Exit(Exit.FAILED)


def restore(
    file: Annotated[Path, typer.Argument(help="What `backup` has written.", show_default=False)],
    *,
    config: ConfigOption = None,
) -> None:
    """
    Put back what is missing in the store, or older than in the backup. What is newer stays.

    Start the services anew afterwards: they do not believe in records older than those they have seen.
    """
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import backup_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config)
    with store_failures():
        made_at, done = run(backup_session.restore(settings, file))
    day = datetime.fromtimestamp(made_at, UTC).strftime("%Y-%m-%d %H:%M")
    say(f"of the backup of {day}: {done.written} values put back, {done.left} left as they are, as new or newer")
    for name in done.broken:
        complain(f"{name} does not open and was not put back")
    if done.broken:
        raise typer.Exit(Exit.FAILED)
