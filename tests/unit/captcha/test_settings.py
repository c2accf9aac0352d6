"""The captcha section of the settings."""

from pathlib import Path
from typing import Any

import pytest

from services.captcha.settings import (
    CaptchaSettings,
    complaints,
    key_path,
    origin_of,
    page_address,
    peer_token_path,
    token_path,
)
from services.chassis.peer.settings import ServiceAccountSettings, TlsSettings


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({}, []),
        ({"address": "unix:/run/captcha.sock"}, []),
        ({"address": "unix:captcha.sock"}, ["captcha.address"]),
        ({"address": "http://captcha:8082", "token_file": "/t"}, []),
        ({"address": "http://captcha:8082"}, ["captcha.tokenFile"]),
        ({"address": "http://", "token_file": "/t"}, ["captcha.address"]),
        ({"address": "ftp://captcha", "token_file": "/t"}, ["captcha.address"]),
        ({"address": "nonsense"}, ["captcha.address"]),
        ({"ca_file": "/ca.pem"}, []),
        ({"address": "http://captcha:8082", "token_file": "/t", "ca_file": "/ca.pem"}, ["captcha.caFile"]),
        ({"address": "unix:/s", "client_cert_file": "/c", "client_key_file": "/k"}, ["captcha.clientCertFile"]),
        ({"peer_port": 8083}, []),
        ({"peer_port": 0, "port": 0}, []),
        ({"peer_port": 8082}, ["captcha.peerPort"]),
        ({"peer_port": 9092}, ["captcha.peerPort"]),
        ({"peer_port": 8083, "socket": "/run/captcha.sock"}, ["captcha.peerPort"]),
        ({"peer_port": 8083, "tls": TlsSettings(cert_file="/c", key_file="/k")}, []),
        ({"tls": TlsSettings(cert_file="/c", key_file="/k")}, ["captcha.tls.certFile"]),
        ({"peer_port": 8083, "tls": TlsSettings(cert_file="/c")}, ["captcha.tls.keyFile"]),
        ({"service_accounts": ServiceAccountSettings(allow=("gateway",))}, ["captcha.serviceAccounts.allow"]),
        ({"port": 9092}, ["captcha.adminPort"]),
        ({"port": 0, "admin_port": 0}, []),
        ({"origin": "https://captcha.example.org"}, []),
        ({"origin": "https://captcha.example.org/"}, ["captcha.origin"]),
        ({"origin": "https://captcha.example.org:443"}, ["captcha.origin"]),
        ({"origin": "captcha.example.org"}, ["captcha.origin"]),
        ({"sdk_url": "o.alicdn.com/x.js"}, ["captcha.sdkUrl"]),
        ({"hosts": ("o.alicdn.com", "*.aliyuncs.com:443")}, []),
        ({"hosts": ("https://o.alicdn.com", "'unsafe-inline'", "*")}, ["captcha.hosts"] * 3),
    ],
)
def test_what_does_not_fit_is_named(fields: dict[str, Any], paths: list[str]) -> None:
    assert [path for path, _ in complaints(CaptchaSettings(**fields))] == paths


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("http://127.0.0.1:8082/captcha", "http://127.0.0.1:8082"),
        ("https://X.example:443", "https://x.example"),
        ("http://[::1]:80/", "http://[::1]"),
        ("http://user@host", None),
        ("http://host:99999", None),
        ("http://host:0", None),
        ("//host", None),
    ],
)
def test_origins_are_written_as_browsers_do(address: str, origin: str | None) -> None:
    assert origin_of(address) == origin


def test_where_things_lie() -> None:
    home = Path("/home")
    assert page_address(CaptchaSettings()) == "http://127.0.0.1:8082/captcha"
    assert page_address(CaptchaSettings(origin="https://c.example")) == "https://c.example/captcha"
    assert token_path(CaptchaSettings(), home) == home / "captcha.token"
    assert token_path(CaptchaSettings(socket="/run/z/captcha.sock"), home) == Path("/run/z/captcha.token")
    assert token_path(CaptchaSettings(token_file="/t"), home) == Path("/t")
    assert key_path(CaptchaSettings(), home) == home / "captcha.key"
    assert key_path(CaptchaSettings(key_file="/k"), home) == Path("/k")
    assert peer_token_path(CaptchaSettings()) is None
    assert peer_token_path(CaptchaSettings(address="unix:/run/z/captcha.sock")) == Path("/run/z/captcha.token")
    assert peer_token_path(CaptchaSettings(token_file="/t")) == Path("/t")
