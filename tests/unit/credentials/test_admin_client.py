"""Where the admin port may be: keys travel there."""

import pytest

from services.credentials.admin_client import why_not


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9091", "http://localhost:9091", "http://[::1]:9091", "https://credentials:9091/base"]
)
def test_loopback_and_tls_are_fine(address: str) -> None:
    assert why_not(address) is None


@pytest.mark.parametrize(
    "address", ["http://credentials:9091", "http://10.0.0.1:9091", "http://127.0.0.1.evil.example"]
)
def test_keys_do_not_travel_in_the_clear(address: str) -> None:
    assert "in the clear" in (why_not(address) or "")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:9091",
        "ftp://h",
        "https://",
        "https://h:port",
        "https://h:0",
        "https://u@h",
        "https://h/?a",
        "http://[::1",
    ],
)
def test_what_is_no_address_is_said(address: str) -> None:
    assert why_not(address) is not None
