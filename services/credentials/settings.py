"""
The credentials service's settings: what stands here is the documentation of the names, meanings and defaults.

One file serves the whole family of processes; `store`, `keyring` and `logging` are the gateway's sections of the same
names. Nothing below `process` sees these objects: it unpacks them.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from services.credentials.token_provider import RefreshMode

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free port
Seconds = Annotated[float, Meta(gt=0)]


class ListenSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`credentials`: where gateways connect, what they must show, how logins are kept fresh."""

    address: Annotated[
        str, Meta(description="where the gateway finds the service: app: (the same process), unix:/path, http(s)://…")
    ] = "app:"
    socket: Annotated[str | None, Meta(description="unix socket to listen on, in place of host and port")] = None
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port for gateways")] = 8081
    admin_host: Annotated[str | None, Meta(description="address of the admin port; unset: as host")] = None
    admin_port: Annotated[Port, Meta(description="port for probes, metrics and the admin API")] = 9091
    token_file: Annotated[
        str | None, Meta(description="tokens between our processes, one a line; read anew when it changes")
    ] = None
    ca_file: Annotated[str | None, Meta(description="PEM file of authorities to trust for an https address")] = None
    keep: Annotated[Seconds, Meta(description="seconds the gateway serves old leases while the service is away")] = 900
    lease: Annotated[Seconds, Meta(description="seconds a refresh holds a credential; renewed while it runs")] = 30.0
    provider_timeout: Annotated[Seconds, Meta(description="seconds one call of a login provider may take")] = 10.0
    drain: Annotated[Seconds, Meta(description="seconds open calls get at shutdown")] = 5.0
    refresh: Annotated[
        dict[str, RefreshMode],
        Meta(description="by provider: rotate, resolve or none; unset: the best that is stored allows"),
    ] = {}


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where state is kept."""

    dir: Annotated[str, Meta(description="directory of the embedded store, the spool and generated keys")] = (
        "~/.zcode-proxy"
    )
    url: Annotated[
        str | None,
        Meta(description="sqlite:///…, redis://, rediss://, redis+sentinel://, redis+cluster://; unset: SQLite in dir"),
    ] = None


class KeyringSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The master keys."""

    file: Annotated[str | None, Meta(description="keyring file; unset: one is generated in store.dir")] = None


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much is said."""

    level: Annotated[str, Meta(description="the least grave that is logged")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], Meta(description="auto: console on a terminal, else json")
    ] = "auto"


class CredentialsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything the process reads."""

    credentials: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    keyring: KeyringSettings = KeyringSettings()
    logging: LoggingSettings = LoggingSettings()


# Environment variable -> path above.
ENV: Final = {
    "ZCODE_CREDENTIALS_ADDRESS": "credentials.address",
    "ZCODE_CREDENTIALS_SOCKET": "credentials.socket",
    "ZCODE_CREDENTIALS_HOST": "credentials.host",
    "ZCODE_CREDENTIALS_PORT": "credentials.port",
    "ZCODE_CREDENTIALS_ADMIN_PORT": "credentials.adminPort",
    "ZCODE_CREDENTIALS_TOKEN_FILE": "credentials.tokenFile",
}
