"""
This gateway with a credentials service beside it: the upstream's key comes as a lease, the client's key is one of the
service's. Against `gw-aa` it shows what that costs a request; nothing should, because leases are kept in memory.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final, Self

from bench.places import PROJECT, RUN
from bench.processes import Process, free_port
from bench.requests import UPSTREAM_KEY
from bench.subjects import GATEWAY, Gateway, Subject, clean_environment
from services.credentials import key_format
from services.credentials.client_keys import ClientKeyBook
from services.credentials.contract import Kind
from services.credentials.records import Credential, Secrets
from services.credentials.settings import StoreSettings
from services.credentials.vault_of import vault_of

SERVICE: Final = """
credentials: {{socket: "{run}/{service}.sock", address: "unix:{run}/{service}.sock", adminPort: {service_admin}}}
store: {{dir: "{state}"}}
"""


def client_key() -> str:
    """Return the key that `_provide` makes: always the same, so that a subject can be described before it starts."""
    return key_format.make(key_format.make_id(_fixed(key_format.ID_SIZE)), _fixed(key_format.SECRET_SIZE)).reveal()


class Accompanied(Process):
    """A process that another one must precede; what is measured is this one alone."""

    def __init__(self, companion: Process, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._companion = companion

    def __enter__(self) -> Self:
        self._companion.__enter__()
        try:
            return super().__enter__()
        except BaseException:
            self._companion.stop()
            raise

    def stop(self) -> None:
        """End both."""
        super().stop()
        self._companion.stop()


class LeasedGateway(Gateway):
    """A gateway process and the service's, on the same core, as in one pod."""

    def start(self) -> Process:
        """Return a process to be entered."""
        port, service_admin = free_port(), free_port()
        state = RUN / f"{self.name}-state"
        shutil.rmtree(state, ignore_errors=True)
        own = GATEWAY.replace("apiKey: {upstream}, proxyApiKey: {client}", "mode: oauth")
        template = own.replace('store: {{dir: "{run}/store"}}\n', "") + SERVICE
        config = self.file(
            "config.yaml",
            template,
            port=port,
            admin=free_port(),
            format=self._format,
            transport=self._transport,
            service=self.name,
            state=state,
            service_admin=service_admin,
            seen=self._seen,
        )
        asyncio.run(_provide(state))
        environment = clean_environment(PYTHONPATH=str(PROJECT))
        service = Process(
            [self._python, "-m", "services", "credentials", config],
            service_admin,
            self.log.with_suffix(".service.log"),
            environment=environment,
            directory=RUN,
        )
        command = [self._python, "-m", "services", "gateway", config]
        return Accompanied(service, command, port, self.log, environment=environment, directory=RUN)


def leased(mock: int) -> Subject:
    """Return the subject."""
    server = LeasedGateway("leased", mock, upstream_format="native")
    title = "gateway with a credentials service, Anthropic passed through"
    return Subject("gw-aa-cred", title, server, "anthropic", key=client_key(), passes_bytes=True)


async def _provide(state: Path) -> None:
    """Keep the upstream's key and make the client's."""
    async with vault_of(StoreSettings(dir=str(state))) as (vault, store):
        now = await store.now()
        record = Credential(
            id="crd_bench",
            provider="zai",
            kind=Kind.API_KEY,
            label="bench",
            secrets=Secrets(api_key=UPSTREAM_KEY),
            created_at=now,
            rotated_at=now,
        )
        await vault.write_credential(record, expected=0)
        made = await ClientKeyBook(vault, store, random=_fixed).create("bench")
        assert made.key.reveal() == client_key()  # noqa: S101 -- or the subject would measure refusals


def _fixed(size: int) -> bytes:
    return bytes(range(size))
