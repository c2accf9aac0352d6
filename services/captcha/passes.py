"""
What lets a browser in: links, sessions and tickets, all signed and none stored. Pure.

    link     one-time, ten minutes: `zcode-proxy captcha link` prints it, the page turns it into a session
    session  a cookie; whoever holds it may see one provider's state and hand in tokens for its account
    ticket   one use, of one session and one account: goes with every post of the page

Each is fields and a MAC, joined by dots. That a link or a ticket was used is remembered elsewhere, by its `id`.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from services.captcha.keys import Keys

LINK_LIFE: Final = 600.0  # seconds
TICKET_LIFE: Final = 1800.0  # seconds; the page asks for a new one with every answer

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_MOST: Final = 400  # characters of any of them


class Pass(msgspec.Struct, frozen=True):
    """What a verified one says. `subject` is the provider, for a ticket the session's id and the account."""

    subject: str
    id: str
    made: float  # seconds since the epoch
    ends: float


class Passes:
    """Makes and reads all three. `random` gives 22 fresh characters."""

    def __init__(self, keys: Keys, random: Callable[[], str]) -> None:
        self._keys = keys
        self._random = random

    def link(self, provider: str, now: float) -> str:
        """Return a one-time link's code. Raises ValueError for a provider that cannot be written into one."""
        if _NAME.fullmatch(provider) is None:
            raise ValueError("a provider's name is letters, digits, - and _")
        return self._made("link", provider, now, LINK_LIFE)

    def session(self, provider: str, now: float, life: float) -> str:
        """Return a session."""
        return self._made("session", provider, now, life)

    def ticket(self, session: Pass, account: str, now: float) -> str:
        """Return a ticket for one post."""
        return self._made("ticket", _bound(session, account), now, TICKET_LIFE)

    def read_link(self, text: str, now: float) -> Pass | None:
        """Return what a link says; None when it is not ours or too old."""
        return self._read("link", text, now)

    def read_session(self, text: str, now: float) -> Pass | None:
        """Return what a session says; None when it is not ours or over."""
        return self._read("session", text, now)

    def read_ticket(self, text: str, session: Pass, account: str, now: float) -> Pass | None:
        """Return a ticket of this session and account; None for any other."""
        found = self._read("ticket", text, now)
        return found if found is not None and found.subject == _bound(session, account) else None

    def _made(self, kind: str, subject: str, now: float, life: float) -> str:
        fields = f"{subject}.{self._random()}.{int(now * 1000)}.{int((now + life) * 1000)}"
        return f"{fields}.{self._keys.sign(_message(kind, fields))}"

    def _read(self, kind: str, text: str, now: float) -> Pass | None:
        fields, _, mac = text.rpartition(".")
        parts = fields.split(".")
        if (
            len(text) > _MOST
            or not text.isascii()
            or len(parts) != 4
            or not self._keys.verifies(_message(kind, fields), mac)
        ):
            return None
        subject, id_, made, ends = parts[0], parts[1], int(parts[2]) / 1000, int(parts[3]) / 1000
        return Pass(subject, id_, made, ends) if now < ends else None


def _message(kind: str, fields: str) -> bytes:
    return f"zr/captcha-page/1/{kind}/{fields}".encode()


def _bound(session: Pass, account: str) -> str:
    # Dots separate the fields, so none may be inside of one.
    return f"{session.id}/{account.replace('.', '_')}"
