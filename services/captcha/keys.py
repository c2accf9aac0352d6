"""
The service's own secrets, apart from the master keys, which stay with the credentials service: they seal banked tokens
and sign links, sessions and the page's tickets. Pure but for reading a file; see `chassis/peer/token_file.py`.

Every line of the file opens and verifies, the first one seals and signs, so that a secret can be replaced.
"""

import hmac
import secrets
from hashlib import sha256

import msgspec

from services.captcha.contract import Captcha
from services.chassis import sealing
from services.chassis.peer.token_file import TokenFile
from services.chassis.sealing import Place, Purpose, Unopened


class Keys:
    """Seals and signs. Raises TokenFileInvalid when the file cannot be used."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file

    def check(self) -> None:
        """Raise TokenFileInvalid when the file cannot be used."""
        _ = self._masters()

    def seal(self, token: Captcha, account: str, digest: str) -> bytes:
        """Seal a token for its account; `digest` is the token's name in the bank."""
        master = self._masters()[0]
        random = secrets.token_bytes(sealing.RANDOM_SIZE)
        plain = msgspec.json.encode(token)
        return sealing.seal(
            plain, _place(account, digest), purpose=Purpose.CAPTCHA, kid=_kid(master), master=master, random=random
        )

    def open(self, sealed: bytes, account: str, digest: str) -> Captcha | None:
        """Open a sealed token; None when no key here opens it for this account."""
        for master in self._masters():
            try:
                plain = sealing.unseal(sealed, _place(account, digest), purpose=Purpose.CAPTCHA, master=master)
            except Unopened:
                continue
            return msgspec.json.decode(plain, type=Captcha)
        return None

    def sign(self, message: bytes) -> str:
        """Return a MAC of a message, 32 hex digits."""
        return _mac(self._masters()[0], message)

    def verifies(self, message: bytes, mac: str) -> bool:
        """Say whether a MAC is one of ours, in constant time per key."""
        found = False
        for master in self._masters():
            found |= hmac.compare_digest(_mac(master, message), mac)
        return found

    def _masters(self) -> list[bytes]:
        return [sha256(b"zr/captcha-key/1/" + line.encode()).digest() for line in self._file.tokens]


def digest_of(param: str) -> str:
    """Name a token without telling it; the name is also how a repeated one is known."""
    return sha256(b"zr/captcha/1/" + param.encode()).hexdigest()[:32]


def _place(account: str, digest: str) -> Place:
    return Place(type="captcha", namespace="zr", id=account, field=digest, version=0)


def _kid(master: bytes) -> int:
    return int(sealing.fingerprint(master)[:8], 16)


def _mac(master: bytes, message: bytes) -> str:
    return hmac.digest(sealing.derive(master, Purpose.PAGE_SESSION), message, "sha256").hex()[:32]
