"""
Answers what to send upstream: the account's JWT and, where `policy` says so, a captcha token.

    token()   account -> configuration -> policy -> a banked token, a place in the line, or none
    waiting   the bank is asked again whenever it rings, and every half second, because another process may have
              banked a token; whoever is cancelled or out of time leaves the line
    report()  what is remembered of a try: a challenge, refused tokens (the second in a row empties the bank)
"""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Protocol

from services.captcha import policy
from services.captcha.accounts import Account, Accounts
from services.captcha.banks.port import Bank, Granted, Note, NotYet, Standing
from services.captcha.contract import LONGEST_WAIT, WORKING_SECONDS, Outcome, Report, TokenAnswer, TokenRequest
from services.captcha.errors import CaptchaRequired, Invalid, QueueFull, Unavailable
from services.captcha.policy import Want
from services.captcha.provider_config import ProviderConfigs
from services.chassis.clock import Clock, SystemClock
from services.chassis.storage import StoreUnavailable

ASK_AGAIN: Final = 0.5  # seconds between two looks at the bank while nothing rings here
_GOODBYE: Final = 1.0  # seconds to leave the line
_LONGEST_ID: Final = 128

_NOTES: Final = {
    Outcome.CHALLENGED: Note.CHALLENGED,
    Outcome.CAPTCHA_REFUSED: Note.REFUSED,
    Outcome.ACCEPTED: Note.SERVED,
}

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Who counts."""

    def answered(self, how: str) -> None:
        """A request for a token came to this end."""

    def waited(self, seconds: float, how: str) -> None:
        """A request waited for a person."""

    def reported(self, outcome: Outcome) -> None:
        """A try came to this end upstream."""


class Issuer:
    """The service itself. `page` is the address where a person can complete a captcha."""

    def __init__(
        self,
        accounts: Accounts,
        configs: ProviderConfigs,
        bank: Bank,
        *,
        page: str,
        observer: Observer,
        on_standing: Callable[[str, Standing], None] = lambda _provider, _standing: None,
        clock: Clock | None = None,
    ) -> None:
        self._accounts = accounts
        self._configs = configs
        self._bank = bank
        self._page = page
        self._observer = observer
        self._on_standing = on_standing
        self._clock: Clock = clock or SystemClock()
        self._closing = asyncio.Event()

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Return what to send upstream, waiting for a person as long as the request says. Raises CaptchaError."""
        _check(request.request_id)
        account = self._accounts.find(request.provider)
        try:
            if request.challenged:
                await self._bank.note(account.id, Note.CHALLENGED)
            config = await self._configs.current()
            standing = await self._look(account.id, request.provider)
            recently = standing.challenged > 0
            granted = await self._captcha(
                account, request, policy.wanted(asks=config.asks, challenged=request.challenged, recently=recently)
            )
        except StoreUnavailable as error:
            self._observer.answered("unavailable")
            raise _away(error) from error
        return _answer(account, granted, standing)

    async def report(self, report: Report) -> None:
        """Take note of how a try ended. Raises CaptchaError."""
        _check(report.request_id)
        self._observer.reported(report.outcome)
        if report.outcome is Outcome.JWT_REFUSED:
            await self._accounts.refused(report.provider, report.credential_id, report.version)
            return
        account = self._accounts.known(report.provider, report.credential_id)
        note = _NOTES[report.outcome]
        try:
            if report.working_format is not None:
                await self._bank.learn(account, report.working_format, WORKING_SECONDS)
            refused = await self._bank.note(account, note)
        except StoreUnavailable as error:
            raise _away(error) from error
        if note is Note.REFUSED and refused >= policy.REFUSALS:
            _log.warning("%s has refused %d captcha tokens in a row; what was banked is gone", report.provider, refused)

    def end_waits(self) -> None:
        """Let nobody wait any longer: the process is about to end."""
        self._closing.set()

    async def _captcha(self, account: Account, request: TokenRequest, want: Want) -> Granted | None:
        if want is Want.NOTHING:
            self._observer.answered("none_wanted")
            return None
        claim = f"{sha256(request.request_id.encode()).hexdigest()[:32]}:{request.attempt}"
        if want is Want.IF_BANKED:
            found = await self._bank.claim(account.id, claim, wait=False)
            self._observer.answered("banked" if isinstance(found, Granted) else "none_banked")
            return found if isinstance(found, Granted) else None
        return await self._waited(account.id, claim, request)

    async def _waited(self, account: str, claim: str, request: TokenRequest) -> Granted:
        began = self._clock.monotonic()
        how = "left"
        try:
            found = await self._in_line(account, claim, began + min(request.wait, LONGEST_WAIT), request.provider)
            how = "banked" if isinstance(found, Granted) else "full" if found is NotYet.FULL else "timeout"
        finally:
            if how != "banked":
                await self._leave(account, claim)
            self._observer.answered(how)
            self._observer.waited(self._clock.monotonic() - began, how)
        if isinstance(found, Granted):
            return found
        if found is NotYet.FULL:
            raise QueueFull(f"too many requests wait for a captcha already; complete some at {self._page}")
        raise CaptchaRequired(f"a captcha must be completed by the account's owner at {self._page}", page=self._page)

    async def _in_line(self, account: str, claim: str, deadline: float, provider: str) -> Granted | NotYet:
        while True:
            bell = self._bank.bell(account)  # taken before the look, so that no ring is missed
            left = deadline - self._clock.monotonic()
            waits = left > 0 and not self._closing.is_set()
            try:
                found = await self._bank.claim(account, claim, wait=waits)
                if found is not NotYet.WAITING:
                    return found
                _ = await self._look(account, provider)
            except StoreUnavailable:
                if not waits:
                    raise
                # A store that fails over is back before a person has clicked.
            await _first(bell, self._closing, min(left, ASK_AGAIN))

    async def _look(self, account: str, provider: str) -> Standing:
        standing = await self._bank.standing(account)
        self._on_standing(provider, standing)
        return standing

    async def _leave(self, account: str, claim: str) -> None:
        try:
            async with asyncio.timeout(_GOODBYE):
                await self._bank.leave(account, claim)
        except (StoreUnavailable, TimeoutError):
            pass  # the place lapses by itself


async def _first(bell: asyncio.Event, closing: asyncio.Event, seconds: float) -> None:
    """Wait for one of two events, for so long at most."""
    waits = [asyncio.ensure_future(event.wait()) for event in (bell, closing)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _answer(account: Account, granted: Granted | None, standing: Standing) -> TokenAnswer:
    return TokenAnswer(
        jwt=account.jwt.reveal(),
        jwt_issued_at=account.issued_at,
        credential_id=account.id,
        version=account.version,
        user_id=account.user_id,
        captcha=None if granted is None else granted.token,
        expires_at=None if granted is None else granted.expires_at,
        working_format="anthropic" if standing.working == "anthropic" else "openai" if standing.working else None,
        working_seconds=standing.working_for,
    )


def _away(error: StoreUnavailable) -> Unavailable:
    return Unavailable(f"the captcha service's store does not answer: {error}")


def _check(request_id: str) -> None:
    if not 1 <= len(request_id) <= _LONGEST_ID or not request_id.isascii() or not request_id.isprintable():
        raise Invalid(f"requestId: must be 1 to {_LONGEST_ID} printable ASCII characters")
