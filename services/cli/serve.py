"""`zcode-proxy serve`: everything in one process."""

from pathlib import Path
from typing import Annotated

import typer

from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import complain
from services.credentials.settings import is_untouched
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import upstream_key

ConfigArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="CONFIG.YAML",
        help="The configuration; else the file ZCODE_PROXY_CONFIG names, else ./config.yaml if there is one.",
        show_default=False,
    ),
]
NamedConfig = Annotated[
    Path | None,
    typer.Option("--config", metavar="CONFIG.YAML", help="The same, as other commands take it.", show_default=False),
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", "-p", min=0, max=65535, help="Port for clients, over server.port; 0: any free one."),
]


def listening_options(port: int | None) -> dict[str, tuple[str, str]]:
    """Turn the port option into what the settings loader takes."""
    return {} if port is None else {"server.port": ("--port", str(port))}


def require_key(settings: GatewaySettings, *, logins: bool) -> None:
    """Leave with 64 and the way out when there is nothing to call the upstream with; `logins`: a login will do."""
    if upstream_key(settings) or (logins and (settings.auth.mode == "oauth" or _has_credentials(settings))):
        return
    wanted = (
        "startPlan.jwt (ZCODE_START_PLAN_JWT)"
        if settings.plan.value == "start-plan"
        else (f"auth.apiKey (ZCODE_API_KEY) or providers.{settings.provider}.credential")
    )
    complain(
        f"no key for the upstream: log in with `zcode-proxy auth login {settings.provider}`, or set {wanted}. "
        "To try everything without an account: zcode-proxy serve --demo"
    )
    raise typer.Exit(Exit.CONFIGURATION)


def _has_credentials(settings: GatewaySettings) -> bool:
    """Whether a login may be waiting, here or at a service; without one the gateway says so to the first client."""
    return settings.credentials.address != "app:" or not is_untouched(settings.store)


def serve(
    config: ConfigArgument = None,
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Use the built-in simulator as upstream: no account, no key.")
    ] = False,
    port: PortOption = None,
    named: NamedConfig = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log what happens inside, and each request's headers without their secrets.")
    ] = False,
) -> None:
    """
    Run everything in one process: what a laptop needs.

    Your plan's key comes from the environment or the file, never from the command line:

    \b
      export ZCODE_API_KEY=…        (or ZCODE_API_KEY_FILE=/path/of/a/file)
      zcode-proxy serve

    Without an account:

    \b
      zcode-proxy serve --demo
      zcode-proxy env claude-code   (in another terminal: how to point Claude Code here)
    """
    level = {"logging.level": ("--debug", "debug")} if debug else {}
    settings = settings_or_exit(config or named, listening_options(port) | level)
    if not demo:
        require_key(settings, logins=True)
    from services import all_in_one  # noqa: PLC0415 - the server's imports stay out of the other commands

    raise typer.Exit(all_in_one.serve(settings, demo=demo))
