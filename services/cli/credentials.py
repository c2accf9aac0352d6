"""`zcode-proxy credentials`: the credentials service alone, as in a cluster; `zcode-proxy init`: what it needs once."""

import typer

from services.chassis.trust import CaFileUnusable
from services.cli.auth import ConfigOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import complain, say
from services.cli.serve import ConfigArgument, NamedConfig


def credentials(config: ConfigArgument = None, *, named: NamedConfig = None) -> None:
    """
    Run the credentials service alone: beside a gateway as its sidecar, or for several gateways.

    It reads the same file and the same variables as `serve`; gateways find it by `credentials.address`:

    \b
      zcode-proxy init        --config /etc/zcode-proxy/config.yaml    (once, for a new store)
      zcode-proxy credentials /etc/zcode-proxy/config.yaml
      zcode-proxy gateway     /etc/zcode-proxy/config.yaml
    """
    settings = settings_or_exit(config or named)
    from services.credentials import process  # noqa: PLC0415 - the server's imports stay out of the other commands
    from services.credentials_setup import credentials_settings, login_providers  # noqa: PLC0415 - as above

    try:
        providers = login_providers(settings)
    except CaFileUnusable as error:
        complain(str(error))
        raise typer.Exit(Exit.CONFIGURATION) from None
    raise typer.Exit(process.serve(credentials_settings(settings), providers))


def init(config: ConfigOption = None) -> None:
    """
    Let the keyring claim a new store, and make the keyring if there is none; nothing is ever replaced.

    On a laptop the first login does the same by itself. A store that is shared must be claimed by a person, so that a
    service which finds it empty stops instead of beginning anew.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above
    from services.credentials.settings import keyring_path  # noqa: PLC0415 - as above
    from services.credentials.vault_of import claim  # noqa: PLC0415 - as above

    settings = settings_or_exit(config)
    with store_failures():
        primary = run(claim(settings.store, settings.keyring))
    say(f"the store is sealed under master key {primary} of {keyring_path(settings.store, settings.keyring)}")
