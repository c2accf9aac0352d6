"""What may go wrong in a command that opens the store, as a message and an exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from services.chassis.listening import CannotListen
from services.cli.exits import Exit
from services.cli.output import complain
from services.credentials.errors import CredentialsError, KeyringInvalid, NotAuthenticated, Unavailable
from services.credentials.stores.port import StoreRefused, StoreUnavailable


@contextmanager
def store_failures() -> Iterator[None]:
    """Leave with a message and the exit code that fits."""
    try:
        yield
    except (KeyringInvalid, StoreRefused) as error:
        complain(str(error))
        raise typer.Exit(Exit.KEYRING) from None
    except (Unavailable, StoreUnavailable, CannotListen) as error:
        complain(str(error))
        raise typer.Exit(Exit.UNAVAILABLE) from None
    except NotAuthenticated as error:
        complain(f"{error}: name the service's admin.token with --token-file")
        raise typer.Exit(Exit.FAILED) from None
    except CredentialsError as error:
        complain(str(error))
        raise typer.Exit(Exit.FAILED) from None
