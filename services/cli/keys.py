"""`zcode-proxy keys create|list|rotate|revoke`: what is typed and what is printed; `keys_session` does it."""

import time
from typing import Annotated

import typer

from services.cli import lifetimes
from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.office_options import ServerOption, TokenFileOption
from services.cli.output import as_json, complain, say, table

app = typer.Typer(no_args_is_help=True, help="The keys that clients of the gateway present.")

IdArgument = Annotated[str, typer.Argument(help="The key's id, as in `keys list`.", show_default=False)]

_LONGEST = 64


def _plain(text: str) -> str:
    if len(text) > _LONGEST or not text.isprintable() or text != text.strip():
        raise typer.BadParameter(f"must be printable text of at most {_LONGEST} characters")
    return text


def _name(text: str) -> str:
    if not text:
        raise typer.BadParameter("must not be empty")
    return _plain(text)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What you call it.", callback=_name, show_default=False)],
    owner: Annotated[str, typer.Option(help="Whose it is.", callback=_plain, show_default=False)] = "",
    models: Annotated[
        str | None, typer.Option(help="The only models it may ask for, with commas between.", show_default="all")
    ] = None,
    expires: Annotated[str, typer.Option(help=f"When it ends: {lifetimes.FORMS}.", show_default="never")] = "",
    config: ConfigOption = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    Make a key and print it, once: only its holder can know it afterwards.

    \b
      zcode-proxy keys create --name laptop
      zcode-proxy keys create --name ci --models glm-4.7,glm-5.2 --expires 30d

    The key alone goes to stdout, so that `… > key.txt` or `$(…)` takes it.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import keys_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above
    from services.credentials.admin_contract import KeyRequest  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    try:
        expires_at = lifetimes.end_of(expires, time.time()) if expires else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--expires") from None
    wanted = tuple(dict.fromkeys(model.strip() for model in (models or "").split(",") if model.strip()))
    if models is not None and not wanted:  # a variable that is empty, and no wish for every model
        raise typer.BadParameter("names no model; leave it out to allow all", param_hint="--models")
    with store_failures():
        request = KeyRequest(name=name, owner=owner, models=wanted, expires_at=expires_at)
        new = run(keys_session.create(desk, request))
    if json:
        as_json({"key": new.key, **keys_session.shown(new.info, time.time())})
        return
    say(new.key)
    complain(f"this key (id {new.info.id}) is shown only now; keep it where secrets are kept", kind="note")


@app.command(name="list")
def list_(
    config: ConfigOption = None,
    *,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """List the keys; what they look like is known to their holders only."""
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import keys_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    with store_failures():
        records = run(keys_session.listed(desk))
    now = time.time()
    if json:
        as_json([keys_session.shown(record, now) for record in records])
    elif records:
        table(
            ("Id", "Name", "Owner", "Models", "State", "Created", "Expires"),
            [keys_session.row(record, now) for record in records],
        )
    else:
        say("there are no keys; `zcode-proxy keys create --name <name>` makes one")


@app.command()
def rotate(
    key_id: IdArgument,
    *,
    finish: Annotated[bool, typer.Option("--finish", help="End the secret before the newest; makes none.")] = False,
    config: ConfigOption = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    Give a key a new secret and print it, once. The one before it stays good until `--finish`.

    \b
      zcode-proxy keys rotate abcdefghij27            both are good: give the new one to the clients
      zcode-proxy keys rotate abcdefghij27 --finish   only the new one is
    """
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import keys_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    id_ = keys_session.id_or_exit(key_id)
    with store_failures():
        if finish:
            record, secret = run(keys_session.settle(desk, id_)), None
        else:
            new = run(keys_session.rotate(desk, id_))
            record, secret = new.info, new.key
    if json:
        as_json(({} if secret is None else {"key": secret}) | keys_session.shown(record, time.time()))
    elif secret is None:
        say(f"only the newest secret of {record.name} ({record.id}) is good now")
    else:
        say(secret)
        complain(f"both secrets are good until `zcode-proxy keys rotate {record.id} --finish`", kind="note")


@app.command()
def revoke(
    key_id: IdArgument,
    config: ConfigOption = None,
    *,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """End a key, for good. Gateways refuse it within seconds."""
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import keys_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config), server, token_file)
    id_ = keys_session.id_or_exit(key_id)
    with store_failures():
        record = run(keys_session.revoke(desk, id_))
    say(f"revoked {record.name} ({record.id})")
