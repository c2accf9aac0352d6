"""`zcode-proxy captcha`: the captcha service alone; `zcode-proxy captcha link`: a way in to its page."""

from typing import Annotated

import typer

from services.cli.auth import ConfigOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import as_json, complain, say

app = typer.Typer(
    invoke_without_command=True,
    help="Run the captcha service alone, or make a link to its page.",
)


@app.callback()
def captcha(context: typer.Context, config: ConfigOption = None) -> None:
    """
    Run the captcha service alone: the start plan's tokens, and the page where the account's owner completes captchas.

    `serve` has it built in. Gateways find it by `captcha.address`:

    \b
      zcode-proxy captcha --config /etc/zcode-proxy/config.yaml
      zcode-proxy captcha link       a one-time link to the page
    """
    if context.invoked_subcommand is not None:
        return
    settings = settings_or_exit(config)
    from services.captcha import process  # noqa: PLC0415 - the server's imports stay out of the other commands
    from services.captcha_setup import service_settings  # noqa: PLC0415 - as above

    code = process.serve(
        service_settings(settings),
        settings.credentials,
        level=settings.logging.level,
        log_format=settings.logging.format,
    )
    raise typer.Exit(code)


@app.command()
def link(
    config: ConfigOption = None,
    *,
    provider: Annotated[
        str | None, typer.Option("--provider", help="Whose captcha.", show_default="the configured one")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Print a link that signs one browser in to the captcha page. It works once, within ten minutes.

    Run it where the service runs, because it signs with the service's own key.
    """
    settings = settings_or_exit(config, quiet=json)
    from services.captcha.passes import LINK_LIFE  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.captcha.service import one_time_link  # noqa: PLC0415 - as above
    from services.chassis.peer.token_file import TokenFileInvalid  # noqa: PLC0415 - as above

    wanted = provider or settings.provider
    if wanted not in settings.providers:
        complain(f"there is no provider {wanted!r}; known are {', '.join(sorted(settings.providers))}")
        raise typer.Exit(Exit.USAGE)
    try:
        address = one_time_link(settings.captcha, settings.store, wanted)
    except (TokenFileInvalid, ValueError) as error:
        complain(str(error))
        raise typer.Exit(Exit.CONFIGURATION) from None
    if json:
        as_json({"link": address, "provider": wanted, "expiresInSeconds": int(LINK_LIFE)})
        return
    say(address)


@app.command()
def status(
    config: ConfigOption = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Say how many tokens are in stock and who waits, as the running service sees it.

    Leaves with 69 when it does not answer.
    """
    settings = settings_or_exit(config, quiet=json)
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import captcha_session  # noqa: PLC0415 - as above

    found = run(captcha_session.state(settings))
    if isinstance(found, str):
        complain(found)
        raise typer.Exit(Exit.UNAVAILABLE)
    if json:
        as_json(captcha_session.shown(found))
    else:
        say(captcha_session.words(found))
