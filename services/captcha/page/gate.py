"""
Who may see and use the page (promises.md C14, P-54). Every refusal is an exception with a stable code.

    everything    the Host that a browser was given, so that no foreign name is made to point here
    reading       a session, from a page of ours: Sec-Fetch-Site, where the browser sends it
    changing      a session; `Origin` is ours; `Sec-Fetch-Site: same-origin`; JSON; a ticket of this session and account
                  that was not used before
    signing in    as changing, with a one-time link in place of session and ticket
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from services.captcha.banks.port import Bank
from services.captcha.errors import CaptchaError
from services.captcha.passes import LINK_LIFE, TICKET_LIFE, Pass, Passes
from services.chassis.clock import Clock, SystemClock

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_MOST: Final = 1024  # characters of a cookie header's value that are looked at


class PageRefused(CaptchaError):
    """The page does not do what was asked; `reason` is a stable word for the page's script."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Gate:
    """Checks requests of browsers. `origin` None: this machine only, on whatever port is served."""

    def __init__(
        self, passes: Passes, bank: Bank, *, origin: str | None, session_life: float, clock: Clock | None = None
    ) -> None:
        self._passes = passes
        self._bank = bank
        self._origin = origin
        self._session_life = session_life
        self._clock: Clock = clock or SystemClock()

    @property
    def secure(self) -> bool:
        """Whether browsers reach the page over TLS."""
        return self._origin is not None and self._origin.startswith("https:")

    @property
    def cookie(self) -> str:
        """The session cookie's name; the prefix makes browsers insist on its attributes."""
        return "__Host-zrs" if self.secure else "zrs"

    def check_host(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Refuse a request for another host than ours."""
        hosts = {urlsplit(origin).netloc for origin in self._origins(scope)}
        if headers.get("host", "").lower() not in hosts:
            where = ", ".join(sorted(self._origins(scope)))
            raise PageRefused(421, "wrong_host", f"this page is served at {where}; captcha.origin changes that")

    def check_reading(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> Pass:
        """Return the session of a request that changes nothing."""
        self.check_host(scope, headers)
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise PageRefused(403, "wrong_origin", "only this page itself may ask for this")
        return self._session(headers)

    def check_origin(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Refuse a request that may change something unless it comes from our page, as JSON."""
        self.check_host(scope, headers)
        if headers.get("origin") not in self._origins(scope) or headers.get("sec-fetch-site") != "same-origin":
            raise PageRefused(403, "wrong_origin", "only this page itself may do this")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise PageRefused(415, "not_json", "this takes application/json")

    async def check_changing(self, scope: Mapping[str, Any], headers: Mapping[str, str], account: str) -> Pass:
        """Return the session of a request that changes something, and use its ticket up."""
        self.check_origin(scope, headers)
        session = self._session(headers)
        ticket = self._passes.read_ticket(headers.get("x-ticket", ""), session, account, self._clock.now())
        if ticket is None or not await self._bank.first(f"ticket/{ticket.id}", TICKET_LIFE):
            raise PageRefused(403, "ticket", "this page is out of date; load it again")
        return session

    async def sign_in(self, link: str) -> tuple[str, float]:
        """Turn a one-time link into a session; returns its value and its life in seconds."""
        now = self._clock.now()
        found = self._passes.read_link(link, now)
        if found is None:
            raise PageRefused(403, "link", "this link is not valid or older than ten minutes")
        if found.made < self._bank.remembers_since or not await self._bank.first(f"link/{found.id}", LINK_LIFE):
            raise PageRefused(403, "link_used", "this link was used before, or made before the service started")
        return self._passes.session(found.subject, now, self._session_life), self._session_life

    def ticket(self, session: Pass, account: str) -> str:
        """Return a ticket for the next change."""
        return self._passes.ticket(session, account, self._clock.now())

    def _session(self, headers: Mapping[str, str]) -> Pass:
        for part in headers.get("cookie", "")[:_MOST].split(";"):
            name, _, value = part.strip().partition("=")
            if name == self.cookie and (found := self._passes.read_session(value, self._clock.now())) is not None:
                return found
        raise PageRefused(401, "session", "open the page with a one-time link: zcode-proxy captcha link")

    def _origins(self, scope: Mapping[str, Any]) -> tuple[str, ...]:
        if self._origin is not None:
            return (self._origin,)
        _, port = scope["server"]
        return tuple(f"http://{host}:{port}" for host in _LOOPBACK)
