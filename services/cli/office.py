"""
Where a command does its work on logins and keys: on the store of the settings, or by way of a running service.

`--server` (or ZCODE_CREDENTIALS_SERVER) chooses the second; the token then comes from a file, never from the line.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import typer

from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import CaFileUnusable
from services.cli.audit_log import audit_of
from services.cli.exits import Exit
from services.cli.output import complain
from services.credentials.admin_client import RemoteAdministration, why_not
from services.credentials.admin_contract import Administration
from services.credentials.administration import StoreAdministration
from services.credentials.audit import actor
from services.credentials.broker import Broker
from services.credentials.client import trust_of
from services.credentials.errors import NotFound
from services.credentials.settings import admin_token_path, is_untouched, keyring_path, spool_path
from services.credentials.vault_of import vault_of
from services.credentials_setup import login_providers
from services.gateway.settings import GatewaySettings


class Office(msgspec.Struct, frozen=True):
    """Which of the two, and what is needed for it."""

    settings: GatewaySettings
    server: str | None = None
    token_file: Path | None = None

    @property
    def empty(self) -> bool:
        """Whether there is certainly nothing, because the laptop's store was never made."""
        return self.server is None and is_untouched(self.settings.store)

    @asynccontextmanager
    async def open(self, *, for_what_is_there: str = "") -> AsyncIterator[Administration]:
        """Give the office until the block ends. With `for_what_is_there`, raises NotFound(it) where nothing can be."""
        if self.server is not None:
            remote = self._remote(self.server)
            try:
                yield remote
            finally:
                await remote.aclose()
            return
        if for_what_is_there and self.empty:
            raise NotFound(for_what_is_there)
        async with contextlib.AsyncExitStack() as stack:
            yield await self._local(stack)

    async def _local(self, stack: contextlib.AsyncExitStack) -> Administration:
        settings = self.settings
        vault, store = await stack.enter_async_context(vault_of(settings.store, settings.keyring))

        async def renewer() -> Broker:
            """A broker that follows nothing: it makes the one credential anew, as its running peers would."""
            try:
                providers = await stack.enter_async_context(login_providers(settings))
            except CaFileUnusable as error:
                complain(str(error))
                raise typer.Exit(Exit.CONFIGURATION) from None
            broker = Broker(vault, store, spool_path(settings.store), providers)
            stack.push_async_callback(broker.aclose)
            return broker

        return StoreAdministration(
            vault,
            store,
            audit_of(settings, vault),
            actor=actor(),
            keyring=keyring_path(settings.store, settings.keyring),
            renewer=renewer,
        )

    def _remote(self, server: str) -> RemoteAdministration:
        fault = why_not(server)
        if fault is not None:
            complain(f"--server {fault}")
            raise typer.Exit(Exit.USAGE)
        listen = self.settings.credentials
        tokens = TokenFile(self.token_file or admin_token_path(listen, self.settings.store))
        try:
            trust = trust_of(listen) if server.startswith("https:") else None
        except CaFileUnusable as error:
            complain(str(error))
            raise typer.Exit(Exit.CONFIGURATION) from None
        return RemoteAdministration(server, tokens=tokens, trust=trust)
