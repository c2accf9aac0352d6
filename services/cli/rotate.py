"""`zcode-proxy rotate master`: what is typed and what is printed; `rotate_session` does it."""

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.output import as_json, complain, say

app = typer.Typer(no_args_is_help=True, help="Put new secrets in the place of old ones, while everything runs.")


@app.callback()
def rotate() -> None:
    """Make `master` a command of its own, for there will be more."""


@app.command()
def master(config: ConfigOption = None, *, json: JsonOption = False) -> None:
    """
    Make a new master key, seal every record under it, and retire the old one.

    Running gateways go on serving: they learn the new key before anything is sealed under it. A rotation that was
    interrupted goes on where it stopped when this is run again. At the end every record is counted by its key.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import rotate_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config, quiet=json)
    with store_failures():
        proof = run(rotate_session.rotate_master(settings, complain=lambda text: complain(text, kind="note")))
    if json:
        as_json(
            {
                "primary": proof.primary,
                "retired": list(proof.retired),
                "records": {str(kid): count for kid, count in sorted(proof.counts.items())},
                "resealed": proof.resealed,
                "replicas": proof.replicas,
            }
        )
        return
    total = sum(proof.counts.values())
    say(f"master key {proof.primary} seals {proof.counts.get(proof.primary, 0)} of {total} records")
    retired = ", ".join(str(kid) for kid in proof.retired)
    say(f"retired: {retired}; keep the keyring file's older copies for as long as backups sealed under them")
