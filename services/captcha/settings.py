"""
The captcha service's settings: what stands here is the documentation of the names, meanings and defaults.

One file serves the whole family of processes, so the gateway's settings hold this section too: this file is part of
the service's face. Nothing below `process` sees these objects: it unpacks them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final
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

TOKEN_NAME: Final = "captcha.token"  # noqa: S105 -- a file's name; beside the socket, or in store.dir
KEY_NAME: Final = "captcha.key"  # in store.dir
PAGE_PATH: Final = "/captcha"

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free port
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]

_HOST: Final = re.compile(r"(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?", re.ASCII)
_UNIX: Final = "unix:"


class WidgetSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the page tells the provider's widget while the provider's own configuration cannot be had."""

    region: Annotated[str | None, Meta(description="region, such as cn or sgp")] = None
    prefix: Annotated[str | None, Meta(description="prefix of the provider's captcha account")] = None
    scene_id: Annotated[
        str | None, Meta(description="scene; unset: no widget without the provider's configuration")
    ] = None


class CaptchaSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`captcha`: how long a request waits for a person, where the service is, and what its page may load."""

    retries: Annotated[int, Meta(ge=0, description="fresh tokens tried for one request")] = 3
    timeout_ms: Annotated[Count, Meta(description="wait for a person, in all")] = 40_000
    sdk_load_ms: Annotated[Count, Meta(description="wait for the provider's widget to load")] = 20_000
    address: Annotated[
        str, Meta(description="where the gateway finds the service: app: (serve's own), unix:/path, http(s)://…")
    ] = "app:"
    socket: Annotated[str | None, Meta(description="unix socket for gateways, in place of host and port")] = None
    host: Annotated[str, Meta(description="address of the page and, without a socket, for gateways")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="port of the page and, without a socket or peerPort, for gateways")] = 8082
    peer_port: Annotated[
        Port | None, Meta(description="port for gateways alone, with TLS if there is a certificate; unset: the page's")
    ] = None
    admin_host: Annotated[str | None, Meta(description="address of the admin port; unset: as host")] = None
    admin_port: Annotated[Port, Meta(description="port for probes and metrics")] = 9092
    token_file: Annotated[
        str | None,
        Meta(description="tokens between our processes, one a line; unset: captcha.token beside the socket"),
    ] = None
    ca_file: Annotated[str | None, Meta(description="PEM file of authorities to trust for an https address")] = None
    client_cert_file: Annotated[
        str | None, Meta(description="PEM file of a certificate to show at an https address that wants one")
    ] = None
    client_key_file: Annotated[str | None, Meta(description="PEM file of its private key")] = None
    tls: TlsSettings = TlsSettings()
    service_accounts: ServiceAccountSettings = ServiceAccountSettings()
    key_file: Annotated[
        str | None,
        Meta(description="secrets that seal tokens and sign sessions, one a line; unset: captcha.key in store.dir"),
    ] = None
    origin: Annotated[
        str | None, Meta(description="address at which a browser reaches the page; unset: this machine only")
    ] = None
    hosts: Annotated[
        tuple[str, ...], Meta(description="hosts from which the provider's widget may load and to which it may talk")
    ] = ("*.alicdn.com", "*.aliyuncs.com")
    allow_eval: Annotated[bool, Meta(description="let the widget evaluate code, should it need that")] = False
    sdk_url: Annotated[str, Meta(description="the provider's widget; it must come from the provider")] = (
        "https://o.alicdn.com/captcha-frontend/aliyunCaptcha/AliyunCaptcha.js"
    )
    widget: WidgetSettings = WidgetSettings()
    bank: Annotated[Count, Meta(description="unused tokens kept per account")] = 3
    queue: Annotated[Count, Meta(description="requests of an account that may wait for a person")] = 16
    session: Annotated[Seconds, Meta(description="seconds a browser stays signed in to the page")] = 43_200.0
    drain: Annotated[Seconds, Meta(description="seconds waiting requests get at shutdown")] = 5.0


# Environment variable -> path above.
ENV: Final = {
    "ZCODE_CAPTCHA_RETRIES": "captcha.retries",
    "ZCODE_CAPTCHA_TIMEOUT_MS": "captcha.timeoutMs",
    "ZCODE_CAPTCHA_SDK_LOAD_MS": "captcha.sdkLoadMs",
    "ZCODE_CAPTCHA_ADDRESS": "captcha.address",
    "ZCODE_CAPTCHA_SOCKET": "captcha.socket",
    "ZCODE_CAPTCHA_HOST": "captcha.host",
    "ZCODE_CAPTCHA_PORT": "captcha.port",
    "ZCODE_CAPTCHA_PEER_PORT": "captcha.peerPort",
    "ZCODE_CAPTCHA_ADMIN_HOST": "captcha.adminHost",
    "ZCODE_CAPTCHA_ADMIN_PORT": "captcha.adminPort",
    "ZCODE_CAPTCHA_TOKEN_FILE": "captcha.tokenFile",
    "ZCODE_CAPTCHA_CA_FILE": "captcha.caFile",
    "ZCODE_CAPTCHA_CLIENT_CERT_FILE": "captcha.clientCertFile",
    "ZCODE_CAPTCHA_CLIENT_KEY_FILE": "captcha.clientKeyFile",
    "ZCODE_CAPTCHA_TLS_CERT_FILE": "captcha.tls.certFile",
    "ZCODE_CAPTCHA_TLS_KEY_FILE": "captcha.tls.keyFile",
    "ZCODE_CAPTCHA_TLS_CLIENT_CA_FILE": "captcha.tls.clientCaFile",
    "ZCODE_CAPTCHA_SERVICE_ACCOUNTS_ALLOW": "captcha.serviceAccounts.allow",
    "ZCODE_CAPTCHA_SERVICE_ACCOUNTS_ISSUER": "captcha.serviceAccounts.issuer",
    "ZCODE_CAPTCHA_SERVICE_ACCOUNTS_JWKS": "captcha.serviceAccounts.jwks",
    "ZCODE_CAPTCHA_KEY_FILE": "captcha.keyFile",
    "ZCODE_CAPTCHA_ORIGIN": "captcha.origin",
}


def complaints(captcha: CaptchaSettings) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in `captcha`, as pairs of a setting's path and words for a person."""
    scheme, _, rest = captcha.address.partition(":")
    if scheme == "unix" and not rest.startswith("/"):
        yield "captcha.address", "must name the socket by its whole path, as in unix:/run/zcode/captcha.sock"
    elif scheme in ("http", "https"):
        if origin_of(captcha.address) is None:
            yield "captcha.address", "must be a host and a port, as in http://captcha:8082"
        elif captcha.token_file is None:
            yield "captcha.tokenFile", "is needed with an http(s) address: the service refuses calls without a token"
    elif scheme != "unix" and captcha.address != "app:":
        yield "captcha.address", "must be app:, unix:/path, http://host:port or https://host:port"
    yield from _port_complaints(captcha)
    if captcha.origin is not None and origin_of(captcha.origin) != captcha.origin:
        yield "captcha.origin", "must be scheme and host, as in https://captcha.example.org, without a path"
    if origin_of(captcha.sdk_url) is None:
        yield "captcha.sdkUrl", "must be an http(s) address"
    for host in captcha.hosts:
        if _HOST.fullmatch(host) is None:
            yield "captcha.hosts", f"{host!r} is no host such as o.alicdn.com or *.alicdn.com"


def _port_complaints(captcha: CaptchaSettings) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the ports and what is spoken on them."""
    yield from client_complaints(
        "captcha",
        captcha.address,
        ca_file=captcha.ca_file,
        cert_file=captcha.client_cert_file,
        key_file=captcha.client_key_file,
    )
    yield from tls_complaints("captcha", captcha.tls, socket=captcha.socket)
    yield from account_complaints("captcha", captcha.service_accounts)
    if captcha.port == captcha.admin_port != 0:
        yield "captcha.adminPort", f"is the same as captcha.port ({captcha.port})"
    if captcha.peer_port is not None:
        for name, port in (("captcha.port", captcha.port), ("captcha.adminPort", captcha.admin_port)):
            if captcha.peer_port == port != 0:
                yield "captcha.peerPort", f"is the same as {name} ({port})"
        if captcha.socket is not None:
            yield "captcha.peerPort", "is given as well as captcha.socket; keep one"
    elif captcha.tls.cert_file is not None and captcha.socket is None:
        yield "captcha.tls.certFile", "is for gateways: give them a captcha.peerPort (TLS of the page is its proxy's)"


def origin_of(address: str) -> str | None:
    """Return an http(s) address's origin as a browser writes it; None when it has none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or port == 0:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    plain = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" if plain else f"{parts.scheme}://{host}:{port}"


def page_address(captcha: CaptchaSettings) -> str:
    """Return where a person finds the page."""
    return (captcha.origin or f"http://127.0.0.1:{captcha.port}") + PAGE_PATH


def token_path(captcha: CaptchaSettings, directory: Path) -> Path:
    """Return the service's token file; `directory` is store.dir."""
    if captcha.token_file is not None:
        return Path(captcha.token_file).expanduser()
    return (Path(captcha.socket).parent if captcha.socket is not None else directory) / TOKEN_NAME


def peer_token_path(captcha: CaptchaSettings) -> Path | None:
    """Return the token file that a gateway presents: for a socket the one beside it, unless one is named."""
    if captcha.token_file is not None:
        return Path(captcha.token_file).expanduser()
    return Path(captcha.address.removeprefix(_UNIX)).parent / TOKEN_NAME if captcha.address.startswith(_UNIX) else None


def key_path(captcha: CaptchaSettings, directory: Path) -> Path:
    """Return the service's key file; `directory` is store.dir."""
    return directory / KEY_NAME if captcha.key_file is None else Path(captcha.key_file).expanduser()
