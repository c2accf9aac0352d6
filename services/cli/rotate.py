"""`zcode-proxy rotate master`: what is typed and what is printed; `rotate_session` does it."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.keyring import ReplicasOption
from services.cli.new_key import new_key
from services.cli.office_options import ServerOption, TokenFileOption
from services.cli.output import as_json, complain, say

app = typer.Typer(no_args_is_help=True, help="Put new secrets in the place of old ones, while everything runs.")


@app.command()
def master(
    config: ConfigOption = None,
    *,
    replicas: ReplicasOption = 0,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    Make a new master key, seal every record under it, and retire the old one.

    Running gateways go on serving: they learn the new key before anything is sealed under it. A rotation that was
    interrupted goes on where it stopped when this is run again. At the end every record is counted by its key.

    Where the keyring can only be read, as a Secret of Kubernetes, this seals anew once you have added and promoted a
    key (`zcode-proxy keyring`), and says what is next.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import office, rotate_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    with store_failures():
        proof = run(rotate_session.rotate_master(desk, replicas, complain=lambda text: complain(text, kind="note")))
    if json:
        as_json(
            {
                "primary": proof.primary,
                "retired": list(proof.retired),
                "records": {str(kid): count for kid, count in sorted(proof.records.items())},
                "resealed": proof.resealed,
                "replicas": proof.replicas,
                "next": proof.next,
            }
        )
        return
    total = sum(proof.records.values())
    say(f"master key {proof.primary} seals {proof.records.get(proof.primary, 0)} of {total} records")
    if proof.retired:
        retired = ", ".join(str(kid) for kid in proof.retired)
        say(f"retired: {retired}; keep older copies of the keyring file for as long as you keep backups of that time")
    if proof.next:
        complain(proof.next, kind="next")


@app.command()
def credential(
    credential_id: Annotated[
        str, typer.Argument(metavar="ID", help="The credential's id, as in `auth status`.", show_default=False)
    ],
    *,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", metavar="FILE", help="A file that holds the new key.", show_default="you are asked"),
    ] = None,
    config: ConfigOption = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    Put a new upstream key in the place of one that is in use, with no failed request.

    A key that somebody gave is replaced by the one that you type, pipe in or name the file of. A login's own key is
    asked for again from its provider. Delete the old key in your account when this has said that it is replaced:

    \b
      zcode-proxy auth status                       (which ids there are)
      zcode-proxy rotate credential crd_abc…        (asks for the new key)
      zcode-proxy rotate credential crd_abc… < new-key.txt
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import office, rotate_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    with store_failures():
        kind = run(rotate_session.kind_of(desk, credential_id))
        if kind != "api_key" and key_file is not None:
            raise typer.BadParameter(
                "this is a login, whose key its provider is asked for: leave the option out", param_hint="--key-file"
            )
        key = new_key(key_file) if kind == "api_key" else None
        done = run(rotate_session.replace(desk, credential_id, key))
    if json:
        as_json({"id": done.login.id, "provider": done.login.provider, "key": done.login.key, "changed": done.changed})
    elif done.changed:
        say(f"replaced: {done.login.provider} {done.login.label} ({done.login.id}), key {done.login.key}")
        complain("gateways have it within a second; now delete the old key in the account", kind="note")
    else:
        say(f"the same key as before: {done.login.provider} {done.login.label} ({done.login.id})")
