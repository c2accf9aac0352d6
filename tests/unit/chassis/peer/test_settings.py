"""What does not fit together in the settings that services have for their peers."""

import pytest

from services.chassis.peer.settings import (
    ServiceAccountSettings,
    TlsSettings,
    account_complaints,
    client_complaints,
    tls_complaints,
)


@pytest.mark.parametrize(
    ("tls", "socket", "paths"),
    [
        (TlsSettings(), "/run/x.sock", []),
        (TlsSettings(cert_file="c", key_file="k", client_ca_file="a"), None, []),
        (TlsSettings(cert_file="c"), None, ["x.tls.keyFile"]),
        (TlsSettings(key_file="k", client_ca_file="a"), None, ["x.tls.keyFile", "x.tls.clientCaFile"]),
        (TlsSettings(cert_file="c"), "/run/x.sock", ["x.tls.keyFile", "x.tls.certFile"]),
    ],
)
def test_of_a_listener(tls: TlsSettings, socket: str | None, paths: list[str]) -> None:
    assert [path for path, _ in tls_complaints("x", tls, socket=socket)] == paths


@pytest.mark.parametrize(
    ("address", "files", "paths"),
    [
        ("https://x:1", ("a", "c", "k"), []),
        ("https://x:1", ("a", "c", None), ["x.clientKeyFile"]),
        ("https://x:1", (None, None, "k"), ["x.clientCertFile"]),
        ("app:", ("a", None, None), []),
        ("http://x:1", ("a", None, None), ["x.caFile"]),
        ("unix:/x", ("a", "c", "k"), ["x.caFile", "x.clientCertFile"]),
    ],
)
def test_of_a_client(address: str, files: tuple[str | None, str | None, str | None], paths: list[str]) -> None:
    ca, cert, key = files

    assert [path for path, _ in client_complaints("x", address, ca_file=ca, cert_file=cert, key_file=key)] == paths


@pytest.mark.parametrize(
    ("accounts", "paths"),
    [
        (ServiceAccountSettings(), []),
        (ServiceAccountSettings(allow=("llm/gateway", "a.b-c/d.e")), []),
        (ServiceAccountSettings(allow=("gateway", "llm/", "/gateway", "LLM/x", "llm/x/y", "llm/*")), ["allow"] * 6),
        (ServiceAccountSettings(jwks="/etc/jwks.json", issuer="https://i"), []),
        (ServiceAccountSettings(jwks="https://i/keys", issuer="https://i"), []),
        (ServiceAccountSettings(jwks="http://i/keys"), ["jwks", "issuer"]),
        (ServiceAccountSettings(api_server="http://api"), ["apiServer"]),
        (ServiceAccountSettings(api_server="https://[api"), ["apiServer"]),
    ],
)
def test_of_accounts(accounts: ServiceAccountSettings, paths: list[str]) -> None:
    found = [path for path, _ in account_complaints("x", accounts)]

    assert found == [f"x.serviceAccounts.{name}" for name in paths]
