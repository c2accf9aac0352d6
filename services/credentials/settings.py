"""
The credentials service's settings: what stands here is the documentation of the names, meanings and defaults.

One file serves the whole family of processes, so the gateway's settings hold these sections too: this file is part of
the service's face. Nothing below `process` and `vault_of` sees these objects: they unpack them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from services.chassis.peer.settings import (
    ServiceAccountSettings,
    TlsSettings,
    account_complaints,
    client_complaints,
    tls_complaints,
)
from services.chassis.secret import Secret
from services.credentials.token_provider import RefreshMode

STORE_NAME: Final = "store.db"  # in store.dir
KEYRING_NAME: Final = "keyring.json"  # in store.dir
TOKEN_NAME: Final = "credentials.token"  # noqa: S105 -- a file's name; beside the socket, or in store.dir
SPOOL_NAME: Final = "spool"  # in store.dir
ADMIN_TOKEN_NAME: Final = "admin.token"  # noqa: S105 -- as above

_UNIX: Final = "unix:"
_EMBEDDED: Final = ("sqlite", "memory")

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free port
Seconds = Annotated[float, Meta(gt=0)]


class ListenSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`credentials`: where gateways connect, what they must show, how logins are kept fresh."""

    address: Annotated[
        str, Meta(description="where the gateway finds the service: app: (serve's own), unix:/path, http(s)://…")
    ] = "app:"
    socket: Annotated[str | None, Meta(description="unix socket to listen on, in place of host and port")] = None
    host: Annotated[str, Meta(description="address to listen on")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port for gateways")] = 8081
    admin_host: Annotated[str | None, Meta(description="address of the admin port; unset: as host")] = None
    admin_port: Annotated[Port, Meta(description="port for probes, metrics and the admin API")] = 9091
    token_file: Annotated[
        str | None,
        Meta(description="tokens between our processes, one a line; unset: credentials.token beside the socket"),
    ] = None
    admin_token_file: Annotated[
        str | None,
        Meta(description="tokens of those who administer, one a line; unset: admin.token in store.dir, made at start"),
    ] = None
    ca_file: Annotated[str | None, Meta(description="PEM file of authorities to trust for an https address")] = None
    client_cert_file: Annotated[
        str | None, Meta(description="PEM file of a certificate to show at an https address that wants one")
    ] = None
    client_key_file: Annotated[str | None, Meta(description="PEM file of its private key")] = None
    tls: TlsSettings = TlsSettings()
    admin_tls: Annotated[
        bool, Meta(description="the admin port with TLS too, by the same certificate; none is asked of its callers")
    ] = False
    service_accounts: ServiceAccountSettings = ServiceAccountSettings()
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
    username: Annotated[str | None, Meta(description="Redis user, unless the URL names one")] = None
    password: Annotated[Secret | None, Meta(description="Redis password, unless the URL holds one")] = None
    sentinel_username: Annotated[str | None, Meta(description="user at the sentinels")] = None
    sentinel_password: Annotated[Secret | None, Meta(description="password at the sentinels")] = None
    ca_file: Annotated[
        str | None, Meta(description="PEM file of authorities to trust for a store with TLS, unless the URL names one")
    ] = None


class KeyringSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The master keys."""

    file: Annotated[str | None, Meta(description="keyring file; unset: one is generated in store.dir")] = None


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much is said."""

    level: Annotated[str, Meta(description="the least grave that is logged")] = "info"
    format: Annotated[
        Literal["auto", "json", "console", "compact"], Meta(description="auto: compact on a terminal, else json")
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
    "ZCODE_CREDENTIALS_ADMIN_TOKEN_FILE": "credentials.adminTokenFile",
    "ZCODE_CREDENTIALS_CA_FILE": "credentials.caFile",
    "ZCODE_CREDENTIALS_CLIENT_CERT_FILE": "credentials.clientCertFile",
    "ZCODE_CREDENTIALS_CLIENT_KEY_FILE": "credentials.clientKeyFile",
    "ZCODE_CREDENTIALS_TLS_CERT_FILE": "credentials.tls.certFile",
    "ZCODE_CREDENTIALS_TLS_KEY_FILE": "credentials.tls.keyFile",
    "ZCODE_CREDENTIALS_TLS_CLIENT_CA_FILE": "credentials.tls.clientCaFile",
    "ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_ALLOW": "credentials.serviceAccounts.allow",
    "ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_ISSUER": "credentials.serviceAccounts.issuer",
    "ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_JWKS": "credentials.serviceAccounts.jwks",
    "ZCODE_CREDENTIALS_ADMIN_TLS": "credentials.adminTls",
    "ZCODE_PROXY_STORE_DIR": "store.dir",
    "ZCODE_STORE_URL": "store.url",
    "ZCODE_STORE_USERNAME": "store.username",
    "ZCODE_STORE_PASSWORD": "store.password",
    "ZCODE_STORE_SENTINEL_USERNAME": "store.sentinelUsername",
    "ZCODE_STORE_SENTINEL_PASSWORD": "store.sentinelPassword",
    "ZCODE_STORE_CA_FILE": "store.caFile",
    "ZCODE_KEYRING_FILE": "keyring.file",
}


def complaints(listen: ListenSettings) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in `credentials`, as pairs of a setting's path and words for a person."""
    scheme, _, rest = listen.address.partition(":")
    if scheme == "unix" and not rest.startswith("/"):
        yield "credentials.address", "must name the socket by its whole path, as in unix:/run/zcode/credentials.sock"
    elif scheme in ("http", "https"):
        if not _is_origin(listen.address):
            yield "credentials.address", "must be a host and a port, as in http://credentials:8081"
        elif listen.token_file is None:
            yield (
                "credentials.tokenFile",
                "is needed with an http(s) address: the service refuses calls without a token",
            )
    elif scheme != "unix" and listen.address != "app:":
        yield "credentials.address", "must be app:, unix:/path, http://host:port or https://host:port"
    yield from client_complaints(
        "credentials",
        listen.address,
        ca_file=listen.ca_file,
        cert_file=listen.client_cert_file,
        key_file=listen.client_key_file,
    )
    yield from tls_complaints("credentials", listen.tls, socket=listen.socket)
    yield from account_complaints("credentials", listen.service_accounts)
    if listen.admin_tls and listen.tls.cert_file is None:
        yield "credentials.adminTls", "needs a certificate: set credentials.tls.certFile and keyFile"
    if listen.admin_token_file is not None and listen.admin_token_file == listen.token_file:
        yield "credentials.adminTokenFile", "is credentials.tokenFile: gateways must not be able to administer"
    if listen.socket is None and listen.port == listen.admin_port != 0:
        yield "credentials.adminPort", f"is the same as credentials.port ({listen.port})"


def _is_origin(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        return False


def directory(store: StoreSettings) -> Path:
    """Return where the embedded store, the spool and what is generated lie."""
    return Path(store.dir).expanduser()


def is_untouched(store: StoreSettings) -> bool:
    """Say whether the laptop's store was never made: then there is nothing to read, and no reason to make it."""
    return store.url is None and not (directory(store) / STORE_NAME).exists()


def spool_path(store: StoreSettings) -> Path:
    """Return the directory of what a provider answered and the store does not have yet."""
    return directory(store) / SPOOL_NAME


def keyring_path(store: StoreSettings, keyring: KeyringSettings) -> Path:
    """Return the keyring's file."""
    return directory(store) / KEYRING_NAME if keyring.file is None else Path(keyring.file).expanduser()


def is_own(store: StoreSettings, keyring: KeyringSettings) -> bool:
    """Say whether store and keyring are this machine's alone, so that a first start may make both."""
    return keyring.file is None and (store.url is None or urlsplit(store.url).scheme in _EMBEDDED)


def token_path(listen: ListenSettings, store: StoreSettings) -> Path:
    """Return the service's token file."""
    if listen.token_file is not None:
        return Path(listen.token_file).expanduser()
    return (Path(listen.socket).parent if listen.socket is not None else directory(store)) / TOKEN_NAME


def peer_token_path(listen: ListenSettings) -> Path | None:
    """Return the token file that a gateway presents: for a socket the one beside it, unless one is named."""
    if listen.token_file is not None:
        return Path(listen.token_file).expanduser()
    return Path(listen.address.removeprefix(_UNIX)).parent / TOKEN_NAME if listen.address.startswith(_UNIX) else None


def admin_token_path(listen: ListenSettings, store: StoreSettings) -> Path:
    """Return the file with the tokens of those who administer."""
    return directory(store) / ADMIN_TOKEN_NAME if listen.admin_token_file is None else Path(listen.admin_token_file)
