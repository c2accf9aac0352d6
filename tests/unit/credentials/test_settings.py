"""What does not fit together in `credentials`, and where the service's files lie."""

from pathlib import Path

import pytest

from services.chassis.peer.settings import ServiceAccountSettings, TlsSettings
from services.credentials.settings import (
    KeyringSettings,
    ListenSettings,
    StoreSettings,
    admin_token_path,
    complaints,
    directory,
    is_own,
    is_untouched,
    keyring_path,
    peer_token_path,
    spool_path,
    token_path,
)

TOKENS = "/etc/tokens"
TLS = TlsSettings(cert_file="/c", key_file="/k")


def paths(listen: ListenSettings) -> list[str]:
    return [path for path, _ in complaints(listen)]


@pytest.mark.parametrize(
    "listen",
    [
        ListenSettings(),
        ListenSettings(address="unix:/run/c.sock"),
        ListenSettings(address="http://credentials:8081", token_file=TOKENS),
        ListenSettings(address="https://[::1]:8081/base", token_file=TOKENS, ca_file="/etc/ca.pem"),
        ListenSettings(port=0, admin_port=0),
        ListenSettings(socket="/run/c.sock", port=9091),
        ListenSettings(token_file=TOKENS, admin_token_file="/etc/admin-tokens"),
        ListenSettings(ca_file="ca.pem"),  # for commands with --server
        ListenSettings(tls=TLS, admin_tls=True),
        ListenSettings(service_accounts=ServiceAccountSettings(allow=("llm/gateway",))),
    ],
)
def test_what_fits_together_is_not_complained_of(listen: ListenSettings) -> None:
    assert paths(listen) == []


@pytest.mark.parametrize(
    ("listen", "path"),
    [
        (ListenSettings(address="unix:c.sock"), "credentials.address"),
        (ListenSettings(address="credentials:8081"), "credentials.address"),
        (ListenSettings(address="app:else"), "credentials.address"),
        (ListenSettings(address="http://", token_file=TOKENS), "credentials.address"),
        (ListenSettings(address="http://user@host", token_file=TOKENS), "credentials.address"),
        (ListenSettings(address="http://host/?a=b", token_file=TOKENS), "credentials.address"),
        (ListenSettings(address="http://host:port", token_file=TOKENS), "credentials.address"),
        (ListenSettings(address="http://host:0", token_file=TOKENS), "credentials.address"),
        (ListenSettings(address="http://host:8081"), "credentials.tokenFile"),
        (ListenSettings(address="http://host", token_file=TOKENS, ca_file="ca.pem"), "credentials.caFile"),
        (ListenSettings(token_file=TOKENS, admin_token_file=TOKENS), "credentials.adminTokenFile"),
        (ListenSettings(port=8081, admin_port=8081), "credentials.adminPort"),
        (ListenSettings(tls=TlsSettings(cert_file="/c")), "credentials.tls.keyFile"),
        (ListenSettings(tls=TLS, socket="/run/c.sock"), "credentials.tls.certFile"),
        (ListenSettings(admin_tls=True), "credentials.adminTls"),
        (ListenSettings(client_cert_file="/c"), "credentials.clientKeyFile"),
        (ListenSettings(service_accounts=ServiceAccountSettings(allow=("llm",))), "credentials.serviceAccounts.allow"),
    ],
)
def test_what_does_not_is_named_by_its_setting(listen: ListenSettings, path: str) -> None:
    assert paths(listen) == [path]


def test_files_lie_in_the_stores_directory_unless_they_are_named() -> None:
    store = StoreSettings(dir="/var/zr")

    assert directory(store) == Path("/var/zr")
    assert directory(StoreSettings()) == Path.home() / ".zcode-proxy"
    assert spool_path(store) == Path("/var/zr/spool")
    assert keyring_path(store, KeyringSettings()) == Path("/var/zr/keyring.json")
    assert keyring_path(store, KeyringSettings(file="/k")) == Path("/k")
    assert admin_token_path(ListenSettings(), store) == Path("/var/zr/admin.token")
    assert admin_token_path(ListenSettings(admin_token_file="/a"), store) == Path("/a")


def test_a_socket_has_its_tokens_beside_it() -> None:
    store = StoreSettings(dir="/var/zr")

    assert token_path(ListenSettings(), store) == Path("/var/zr/credentials.token")
    assert token_path(ListenSettings(socket="/run/zr/c.sock"), store) == Path("/run/zr/credentials.token")
    assert token_path(ListenSettings(token_file=TOKENS, socket="/run/zr/c.sock"), store) == Path(TOKENS)
    assert peer_token_path(ListenSettings(address="unix:/run/zr/c.sock")) == Path("/run/zr/credentials.token")
    assert peer_token_path(ListenSettings(address="http://c:1", token_file=TOKENS)) == Path(TOKENS)
    assert peer_token_path(ListenSettings()) is None


@pytest.mark.parametrize(
    ("url", "keyring", "own"),
    [
        (None, None, True),
        ("sqlite:///data/x.db", None, True),
        (None, "/k", False),
        ("redis://r", None, False),
        ("redis://r", "/k", False),
    ],
)
def test_only_a_laptops_own_store_may_be_begun_without_a_word(url: str | None, keyring: str | None, own: bool) -> None:
    assert is_own(StoreSettings(url=url), KeyringSettings(file=keyring)) is own


def test_a_store_is_untouched_until_its_file_is_there(tmp_path: Path) -> None:
    laptop = StoreSettings(dir=str(tmp_path))

    assert is_untouched(laptop)
    assert not is_untouched(StoreSettings(dir=str(tmp_path), url="redis://r"))
    (tmp_path / "store.db").touch()
    assert not is_untouched(laptop)
