"""The seed project's sealed text, as its own runtime would have made it."""

import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.credentials.seed_file import opened, seeds

SEED = "/home/ada-linux-x64"
PLAIN = b'{"apiKey":"canary"}'


def sealed(seed: str = SEED, *, nonce: int = 12, tag_first: bool = False) -> str:
    """Seal as the seed does: nonce, text, tag; or, in its later releases, nonce, tag, text."""
    start = bytes(range(nonce))
    body = AESGCM(sha256(seed.encode()).digest()).encrypt(start, PLAIN, None)
    if tag_first:
        body = body[-16:] + body[:-16]
    return base64.b64encode(start + body).decode()


def test_both_layouts_open() -> None:
    assert opened(sealed(), [SEED]) == PLAIN
    assert opened(sealed(nonce=16, tag_first=True), [SEED]) == PLAIN
    assert opened(sealed(), ["other", SEED]) == PLAIN


@pytest.mark.parametrize("text", ["", "???", "AAAA", base64.b64encode(bytes(40)).decode(), sealed("another machine")])
def test_anything_else_does_not(text: str) -> None:
    assert opened(text, [SEED]) is None


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("linux", "x86_64", "/home/ada-linux-x64"),
        ("linux", "aarch64", "/home/ada-linux-arm64"),
        ("darwin", "arm64", "/home/ada-darwin-arm64"),
        ("win32", "AMD64", "/home/ada-win32-x64"),
        ("freebsd14", "sparc", "/home/ada-freebsd14-sparc"),
    ],
)
def test_the_machine_is_called_what_node_calls_it(system: str, machine: str, expected: str) -> None:
    assert seeds("/home/ada", {}, system, machine) == (expected,)


def test_a_secret_that_was_set_is_the_seed_and_the_machine_is_not() -> None:
    assert seeds("/home/ada", {"ZCODE_PROXY_CREDENTIAL_SECRET": "given"}) == ("given",)


def test_this_machine_has_a_name() -> None:
    (seed,) = seeds("/home/ada", {})

    assert seed.count("-") == 2
