"""`zcode-proxy keyring`: master keys that somebody keeps where no process may write, such as a Kubernetes Secret."""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import as_json, complain, table
from services.gateway.settings import GatewaySettings

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    help="""
    Master keys that you keep where no process may write, as in a Kubernetes Secret.

    Each command prints the next keyring and puts it nowhere; you do, and running services take it over. A change
    is refused before its turn. Where the file is the machine's own, `rotate master` does all of this by itself.

    \b
      zcode-proxy keyring add     --output next.json    then put it where the keyring is kept
      zcode-proxy keyring promote --output next.json    the same, once every process has the new key
      zcode-proxy rotate master                         seals every record anew
      zcode-proxy keyring retire  --output next.json    once no record needs the old key
      zcode-proxy keyring status                        what comes next
    """,
)

OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FILE", help="A new file, readable by you alone.", show_default="standard output"
    ),
]
ReplicasOption = Annotated[
    int, typer.Option("--replicas", metavar="N", min=0, help="Wait for at least so many running processes.")
]


@app.command()
def new(output: OutputOption = None) -> None:
    """Make a keyring of one key. Keep a copy: without it nothing that is sealed under it opens."""
    from services.cli import keyring_session  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    _look_at(output)
    with store_failures():
        keyring_session.give(keyring_session.made(), output)


@app.command()
def status(*, replicas: ReplicasOption = 0, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Show which key seals, what is under each, who has it, and what comes next; nothing secret."""
    from services.cli import keyring_session  # noqa: PLC0415 - as above

    standing = _run(config, lambda settings: keyring_session.standing(settings, replicas), quiet=json)
    rows = keyring_session.rows(standing)
    if json:
        as_json({"keys": [row.shown() for row in rows], "step": standing.step.value, "next": standing.next})
        return
    table(("Key", "State", "Fingerprint", "Records", "Processes"), [row.cells() for row in rows])
    complain(standing.next, kind="next")


@app.command()
def add(output: OutputOption = None, *, config: ConfigOption = None) -> None:
    """Print the keyring with one more key, which opens and does not seal yet."""
    _change("add", output, config)


@app.command()
def promote(output: OutputOption = None, *, replicas: ReplicasOption = 0, config: ConfigOption = None) -> None:
    """Print the keyring with the new key as the one that seals; refused until every running process has it."""
    _change("promote", output, config, replicas=replicas)


@app.command()
def retire(output: OutputOption = None, *, replicas: ReplicasOption = 0, config: ConfigOption = None) -> None:
    """Print the keyring with the old key retired: it opens backups. Refused while any record is under it."""
    _change("retire", output, config, replicas=replicas)


@app.command()
def delete(
    kid: Annotated[int, typer.Argument(metavar="KEY", help="Its number, as in `keyring status`.", show_default=False)],
    output: OutputOption = None,
    *,
    config: ConfigOption = None,
) -> None:
    """Print the keyring without a retired key. Backups that were made under it can never be read again."""
    _change("delete", output, config, kid=kid)


def _change(what: str, output: Path | None, config: Path | None, *, replicas: int = 0, kid: int = 0) -> None:
    from services.cli import keyring_session  # noqa: PLC0415 - as above

    _look_at(output)

    async def work(settings: GatewaySettings) -> None:
        keyring_session.give(await keyring_session.change(settings, what, replicas=replicas, kid=kid), output)

    _run(config, work)
    complain("put it where the keyring is kept; running services take it over by themselves", kind="next")


def _run(config: Path | None, work: Callable[[GatewaySettings], Coroutine[Any, Any, T]], *, quiet: bool = True) -> T:
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config, quiet=quiet)
    with store_failures():
        return run(work(settings))


def _look_at(output: Path | None) -> None:
    """Leave, before anything is done, where the keys would be seen or something be overwritten."""
    if output is None and sys.stdout.isatty():
        complain("this would show master keys on the screen: name a file with --output, or redirect")
        raise typer.Exit(Exit.USAGE)
    if output is not None and output.exists():
        complain(f"{output} is there already")
        raise typer.Exit(Exit.USAGE)
