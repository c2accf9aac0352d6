"""`zcode-proxy auth login|status|logout`: what is typed and what is printed; `login_session` does it."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.office_options import ServerOption, TokenFileOption
from services.cli.output import as_json, complain, say, table
from services.gateway.routing import Plan

app = typer.Typer(no_args_is_help=True, help="Log in to a plan, see who is logged in, log out.")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="CONFIG.YAML", help="The configuration, as for `serve`.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Provider(StrEnum):
    """Whose plan."""

    ZAI = "zai"
    BIGMODEL = "bigmodel"


class Flow(StrEnum):
    """Which flow."""

    POLL = "poll"
    LOOPBACK = "loopback"
    PASTE = "paste"


class Source(StrEnum):
    """Which other program's credentials."""

    ZCODE = "zcode"
    ZCODE_PROXY = "zcode-proxy"


@app.command()
def login(
    provider: Annotated[Provider, typer.Argument(help="Whose plan.")],
    *,
    flow: Annotated[
        Flow | None,
        typer.Option(
            help="poll: agree on any device; loopback: the browser comes back here; paste: you paste an address.",
            show_default="poll, then loopback, then paste",
        ),
    ] = None,
    import_: Annotated[
        bool, typer.Option("--import", help="Take the login of the ZCode desktop app, or of an earlier zcode-proxy.")
    ] = False,
    source: Annotated[
        Source | None,
        typer.Option("--from", help="Which of the two; implies --import.", show_default="zcode, if there"),
    ] = None,
    label: Annotated[str, typer.Option(help="A name for this login.", show_default="the provider's")] = "",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the address in a browser.")] = True,
    config: ConfigOption = None,
) -> None:
    """
    Log in with the account that has the plan; its key is found or made, and kept encrypted.

    A second login of the same account renews what is kept.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import login_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config)
    with store_failures():
        if import_ or source is not None:
            record = run(
                login_session.keep(
                    settings, login_session.imported(settings, provider, source), label, event="cred.import"
                )
            )
        else:
            record, unresolved = run(login_session.log_in(settings, provider, flow, label, browser=browser))
            if unresolved is not None:
                complain(
                    f"there is no key for the coding plan, only the start-plan's token: {unresolved}", kind="warning"
                )
    say(login_session.kept_words(record))


@app.command()
def status(
    config: ConfigOption = None,
    *,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
    json: JsonOption = False,
) -> None:
    """
    List the logins: id, provider, label, state, age, the end of the key, the start-plan token's age.

    Leaves with 1 when there is none.
    """
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import login_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config, quiet=json), server, token_file)
    with store_failures():
        found = run(login_session.listed(desk))
    records, troubles = found.logins, found.broken
    for trouble in troubles:
        complain(f"the record {trouble.id} (version {trouble.version}) does not open: {trouble.why}")
    now = time.time()
    if json:
        as_json([login_session.shown(record, now) for record in records])
    elif records:
        table(
            ("Id", "Provider", "Label", "Kind", "State", "Age", "Key", "Start-plan token"),
            [login_session.row(record, now) for record in records],
        )
    else:
        say("nobody is logged in; `zcode-proxy auth login zai` changes that")
    if not json and desk.settings.plan is Plan.START:
        from services.cli import captcha_session  # noqa: PLC0415 - as above

        bank = run(captcha_session.state(desk.settings))
        say(f"captcha tokens: {bank}" if isinstance(bank, str) else captcha_session.words(bank))
    if not records or troubles:
        raise typer.Exit(Exit.FAILED)


@app.command()
def logout(
    provider: Annotated[Provider | None, typer.Argument(help="Whose logins.", show_default="all")] = None,
    *,
    config: ConfigOption = None,
    server: ServerOption = None,
    token_file: TokenFileOption = None,
) -> None:
    """Remove the logins that are kept here. The key stays in the account until you delete it there."""
    from services.chassis.process import run  # noqa: PLC0415 - as above
    from services.cli import login_session, office  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    desk = office.Office(settings_or_exit(config), server, token_file)
    with store_failures():
        removed = run(login_session.log_out(desk, provider))
    for record in removed:
        say(f"removed {record.provider}: {record.label} ({record.id})")
    if not removed:
        say("there was nothing to remove")
