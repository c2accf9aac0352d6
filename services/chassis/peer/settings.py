"""
The settings that every service of ours has for its peers: TLS on its port, and whose ServiceAccount tokens it takes.

They stand in the section of each service, so `section` is credentials or captcha. Pure.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

API_SERVER: Final = "https://kubernetes.default.svc"
_POD: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # where Kubernetes mounts a pod's token and authority

_NAME: Final = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_ACCOUNT: Final = re.compile(f"{_NAME}/{_NAME}", re.ASCII)


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """TLS on a port of ours; the files are read anew when they change."""

    cert_file: Annotated[
        str | None, Meta(description="PEM file of the certificate, then of those that vouch for it; unset: no TLS")
    ] = None
    key_file: Annotated[str | None, Meta(description="PEM file of its private key, not encrypted")] = None
    client_ca_file: Annotated[
        str | None,
        Meta(description="PEM file of authorities; set: every caller must show a certificate of theirs as well"),
    ] = None


class ServiceAccountSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose projected Kubernetes tokens are taken, and with what keys they are verified."""

    allow: Annotated[
        tuple[str, ...], Meta(description="accounts that may call, as namespace/name; empty: no such token is taken")
    ] = ()
    issuer: Annotated[str | None, Meta(description="who issues the tokens (iss); unset: what the API server says")] = (
        None
    )
    jwks: Annotated[
        str | None, Meta(description="the issuer's keys: a file or an https:// address; unset: the API server's")
    ] = None
    api_server: Annotated[str, Meta(description="the cluster's API server, asked for keys")] = API_SERVER
    token_file: Annotated[str, Meta(description="the pod's own token for the API server")] = f"{_POD}/token"
    ca_file: Annotated[str | None, Meta(description="PEM file of authorities to trust when keys are fetched")] = (
        f"{_POD}/ca.crt"
    )


def tls_complaints(section: str, tls: TlsSettings, *, socket: str | None) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in `<section>.tls`."""
    path = f"{section}.tls"
    if tls.cert_file is None:
        for name, value in (("keyFile", tls.key_file), ("clientCaFile", tls.client_ca_file)):
            if value is not None:
                yield f"{path}.{name}", f"is of no use without {path}.certFile"
    elif tls.key_file is None:
        yield f"{path}.keyFile", f"is missing: {path}.certFile needs its private key"
    if tls.cert_file is not None and socket is not None:
        yield f"{path}.certFile", f"is for a port; {section}.socket never leaves the machine and has none"


def client_complaints(
    section: str, address: str, *, ca_file: str | None, cert_file: str | None, key_file: str | None
) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in a client's side of TLS; `address` is that of the service."""
    if address.startswith(("unix:", "http:")):
        for name, value in (("caFile", ca_file), ("clientCertFile", cert_file)):
            if value is not None:
                yield f"{section}.{name}", "is for an https address"
    if (cert_file is None) is not (key_file is None):
        name, other = ("clientKeyFile", "clientCertFile") if key_file is None else ("clientCertFile", "clientKeyFile")
        yield f"{section}.{name}", f"is missing: {section}.{other} goes with it"


def account_complaints(section: str, accounts: ServiceAccountSettings) -> Iterator[tuple[str, str]]:
    """Yield what does not fit together in `<section>.serviceAccounts`."""
    path = f"{section}.serviceAccounts"
    for account in accounts.allow:
        if _ACCOUNT.fullmatch(account) is None:
            yield f"{path}.allow", f"{account!r} is no account such as llm/zcode-proxy-gateway"
    if accounts.jwks is not None:
        if "://" in accounts.jwks and not _is_https(accounts.jwks):
            yield f"{path}.jwks", "must be a file or an https:// address"
        if accounts.issuer is None:
            yield f"{path}.issuer", f"is needed with {path}.jwks: keys alone do not say whose tokens are meant"
    if not _is_https(accounts.api_server):
        yield f"{path}.apiServer", f"must be an https:// address, as in {API_SERVER}"


def _is_https(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        return False
