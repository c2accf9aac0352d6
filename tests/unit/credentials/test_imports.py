"""Credentials of other programs, and every way in which they may be missing."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.credentials.errors import LoginFailed
from services.credentials.imports import from_desktop, from_seed
from services.credentials.login import LoggedIn
from services.credentials.records import Secrets

ENVIRON = {"ZCODE_PROXY_CREDENTIAL_SECRET": "seed"}
NOW = 1_800_000_000.0


def desktop(home: Path, document: object) -> Path:
    path = home / ".zcode" / "v2" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return home


def seed(directory: Path, document: object, secret: str = "seed") -> Path:
    nonce = bytes(12)
    plain = document if isinstance(document, str) else json.dumps(document)
    body = AESGCM(sha256(secret.encode()).digest()).encrypt(nonce, plain.encode(), None)
    (directory / "credentials.json").write_text(json.dumps({"encrypted": base64.b64encode(nonce + body).decode()}))
    return directory


def test_the_desktops_key_and_token_are_taken(tmp_path: Path) -> None:
    home = desktop(
        tmp_path,
        {
            "provider": {
                "builtin:zai-coding-plan": {"options": {"apiKey": "id.secret"}},
                "builtin:zai-start-plan": {"options": {"apiKey": "jwt"}},
                "builtin:bigmodel-coding-plan": {"options": {"apiKey": "big"}},
            }
        },
    )

    assert from_desktop(home, "zai") == LoggedIn(
        provider="zai", secrets=Secrets(api_key="id.secret", start_plan_jwt="jwt")
    )
    assert from_desktop(home, "bigmodel") == LoggedIn(provider="bigmodel", secrets=Secrets(api_key="big"))


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"provider": []},
        {"provider": {"builtin:zai-coding-plan": "x"}},
        {"provider": {"builtin:zai-coding-plan": {"options": {"apiKey": ""}}}},
        {"provider": {"builtin:zai-start-plan": {"options": {"apiKey": "jwt"}}}},
    ],
)
def test_a_desktop_without_the_key_is_named(tmp_path: Path, document: object) -> None:
    with pytest.raises(LoginFailed, match="holds no key for zai"):
        from_desktop(desktop(tmp_path, document), "zai")


@pytest.mark.parametrize("document", ["", "[]", "{", "[" * 50_000, "\x00"])
def test_a_file_that_is_none_is_named(tmp_path: Path, document: str) -> None:
    with pytest.raises(LoginFailed, match="cannot be understood"):
        from_desktop(desktop(tmp_path, document), "zai")


def test_a_file_that_is_missing_or_huge_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoginFailed, match=r"there is no .*config\.json"):
        from_desktop(tmp_path, "zai")
    with pytest.raises(LoginFailed, match="too large"):
        from_desktop(desktop(tmp_path, " " * (4 * 1024 * 1024 + 1)), "zai")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / ".zcode").symlink_to(".zcode")  # leads to itself, which nobody can read, not even root

    with pytest.raises(LoginFailed, match=r"there is no|cannot be read"):
        from_desktop(tmp_path, "zai")


def test_the_seeds_single_credential_is_taken(tmp_path: Path) -> None:
    found = {
        "provider": "zai",
        "apiKey": "id",
        "secret": "secret",
        "accessToken": "at",
        "refreshToken": "rt",
        "jwt": "jwt",
        "userId": "u",
        "expiresAt": (NOW + 60) * 1000,
    }

    assert from_seed(seed(tmp_path, found), "zai", "/h", ENVIRON, NOW) == LoggedIn(
        provider="zai",
        secrets=Secrets(api_key="id.secret", access_token="at", refresh_token="rt", start_plan_jwt="jwt"),
        user_id="u",
        expires_in=60.0,
    )


@pytest.mark.parametrize(("expires_at", "left"), [(NOW + 5, 5.0), (NOW - 5, 0.0), (None, None)])
def test_an_expiry_in_seconds_is_one_too(tmp_path: Path, expires_at: float | None, left: float | None) -> None:
    directory = seed(tmp_path, {"provider": "bigmodel", "apiKey": "k", "expiresAt": expires_at})

    assert from_seed(directory, "bigmodel", "/h", ENVIRON, NOW).expires_in == left


def test_of_several_accounts_the_active_one_of_the_provider_is_taken(tmp_path: Path) -> None:
    accounts = [
        {"id": "a", "credential": {"provider": "zai", "apiKey": "first"}},
        {"id": "b", "credential": {"provider": "bigmodel", "apiKey": "big"}},
        {"id": "c", "credential": {"provider": "zai", "apiKey": "active"}},
        {"id": "d"},
        "x",
    ]
    directory = seed(tmp_path, {"version": 2, "activeId": "c", "accounts": accounts})

    assert from_seed(directory, "zai", "/h", ENVIRON, NOW).secrets.api_key == "active"
    assert from_seed(directory, "bigmodel", "/h", ENVIRON, NOW).secrets.api_key == "big"


@pytest.mark.parametrize("document", [{"provider": "bigmodel", "apiKey": "k"}, {"provider": "zai"}, {"accounts": []}])
def test_a_seeds_file_without_the_key_is_named(tmp_path: Path, document: object) -> None:
    with pytest.raises(LoginFailed, match="holds no key for zai"):
        from_seed(seed(tmp_path, document), "zai", "/h", ENVIRON, NOW)


def test_a_seeds_file_that_does_not_open_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(LoginFailed, match="ZCODE_PROXY_CREDENTIAL_SECRET"):
        from_seed(seed(tmp_path, {}, secret="other"), "zai", "/h", ENVIRON, NOW)


def test_a_file_of_another_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{}")

    with pytest.raises(LoginFailed, match="not a credential file"):
        from_seed(tmp_path, "zai", "/h", ENVIRON, NOW)


def test_sealed_text_that_is_no_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoginFailed, match="cannot be understood"):
        from_seed(seed(tmp_path, "[]"), "zai", "/h", ENVIRON, NOW)
