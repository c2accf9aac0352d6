"""The service's own secrets."""

from pathlib import Path

import pytest

from services.captcha.contract import Captcha
from services.captcha.keys import Keys, digest_of
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid

OLD, NEW = "o" * 40, "n" * 40
TOKEN = Captcha(param="param-canary", region="sgp")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(OLD + "\n")
    return path


def test_a_token_opens_in_its_place_only(file: Path) -> None:
    keys = Keys(TokenFile(file))
    digest = digest_of(TOKEN.param)
    sealed = keys.seal(TOKEN, "crd_a", digest)

    assert keys.open(sealed, "crd_a", digest) == TOKEN
    assert keys.open(sealed, "crd_b", digest) is None
    assert keys.open(sealed, "crd_a", digest_of("another")) is None
    assert keys.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "crd_a", digest) is None
    assert b"canary" not in sealed
    assert "canary" not in digest


def test_a_secret_is_replaced_without_losing_what_it_sealed(file: Path) -> None:
    digest = digest_of(TOKEN.param)
    sealed = Keys(TokenFile(file)).seal(TOKEN, "crd_a", digest)
    file.write_text(f"{NEW}\n{OLD}\n")
    both = Keys(TokenFile(file))
    signed_new = both.sign(b"message")

    assert both.open(sealed, "crd_a", digest) == TOKEN
    file.write_text(f"{OLD}\n")
    assert not Keys(TokenFile(file)).verifies(b"message", signed_new)
    signed_old = Keys(TokenFile(file)).sign(b"message")
    file.write_text(f"{NEW}\n{OLD}\n")
    assert Keys(TokenFile(file)).verifies(b"message", signed_old)
    assert not Keys(TokenFile(file)).verifies(b"messagf", signed_old)


def test_a_file_without_a_secret_is_told_of_at_once(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short\n")
    with pytest.raises(TokenFileInvalid, match="key holds no token"):
        Keys(TokenFile(tmp_path / "key")).check()
