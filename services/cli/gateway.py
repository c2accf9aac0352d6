"""`zcode-proxy gateway`: the gateway alone, as in a cluster."""

import typer

from services.chassis.listening import CannotListen
from services.chassis.storage import StoreRefused
from services.chassis.trust import CaFileUnusable
from services.cli.configuration import SettingsSource, settings_or_exit
from services.cli.exits import Exit
from services.cli.output import complain
from services.cli.serve import ConfigArgument, NamedConfig, PortOption, listening_options, require_key


def gateway(config: ConfigArgument = None, *, port: PortOption = None, named: NamedConfig = None) -> None:
    """
    Run the gateway alone: the process that a cluster runs many of.

    It reads the same file and the same variables as `serve`:

    \b
      zcode-proxy gateway /etc/zcode-proxy/config.yaml

    With `credentials.address` it gets logins and client keys from a credentials service.
    """
    config = config or named
    settings = settings_or_exit(config, listening_options(port))
    # The server's imports stay out of the other commands.
    from services.gateway import leasing, process, start_plan_passes  # noqa: PLC0415

    if not leasing.has_service(settings) and not start_plan_passes.has_service(settings):
        require_key(settings, logins=False)  # a login is of use to a gateway by way of another service only
    try:
        code = process.serve(settings, SettingsSource(config, listening_options(port)))
    except CannotListen as error:
        complain(str(error))
        code = Exit.UNAVAILABLE
    except CaFileUnusable as error:
        complain(str(error))
        code = Exit.CONFIGURATION
    except StoreRefused as error:
        complain(str(error))
        code = Exit.KEYRING
    raise typer.Exit(code)
