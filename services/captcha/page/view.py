"""
What an open page is told: one state, sent when it changes and every now and then.

The state holds no secret; the account's id is there because a token is handed in for an account.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from services.captcha.accounts import Accounts
from services.captcha.banks.port import Bank
from services.captcha.errors import JwtInvalid
from services.captcha.metrics import Standings
from services.captcha.page.gate import PageRefused
from services.captcha.provider_config import ProviderConfigs, Scene
from services.chassis.clock import Clock, SystemClock

STREAMS: Final = 32  # open pages of this process
_LOOK: Final = 1.0  # seconds between two looks, because other processes change the bank as well
_QUIET: Final = 15.0  # seconds after which an unchanged state is sent again, so that a dead connection is noticed


class State(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything the page shows; seconds."""

    provider: str
    account: str | None  # None: nobody is logged in
    asks: bool
    scene: Scene | None
    config_source: str
    lives: tuple[float, ...]
    waiting: int
    waited: float
    refused: int
    jwt_issued_at: float | None = None
    now: float


class View:
    """Makes states. One per process."""

    def __init__(
        self,
        accounts: Accounts,
        configs: ProviderConfigs,
        bank: Bank,
        standings: Standings,
        clock: Clock | None = None,
    ) -> None:
        self._accounts = accounts
        self._configs = configs
        self._bank = bank
        self._standings = standings
        self._clock: Clock = clock or SystemClock()
        self._closing = asyncio.Event()
        self._open = 0

    async def state(self, provider: str) -> State:
        """Return the state of a provider's account. Raises StoreUnavailable."""
        config = await self._configs.current()
        account, issued = self._account(provider)
        standing = await self._bank.standing(account or _nobody(provider))
        self._standings.learn(provider, standing)
        return State(
            provider=provider,
            account=account,
            asks=config.asks,
            scene=config.scene,
            config_source=config.source,
            lives=tuple(round(life, 1) for life in standing.lives),
            waiting=standing.waiting,
            waited=round(standing.waited, 1),
            refused=standing.refused,
            jwt_issued_at=issued,
            now=self._clock.now(),
        )

    async def states(self, provider: str, seconds: float) -> AsyncIterator[State]:
        """Yield the state now and whenever it changes, until the session ends or the process does."""
        if self._open >= STREAMS:
            raise PageRefused(503, "pages", "too many pages are open")
        self._open += 1
        try:
            told: tuple[object, ...] = ()
            deadline, sent = self._clock.monotonic() + seconds, float("-inf")
            while not self._closing.is_set() and (now := self._clock.monotonic()) < deadline:
                account, _ = self._account(provider)
                bell = self._bank.bell(account or _nobody(provider))
                state = await self.state(provider)
                if (told != _gist(state)) or now - sent >= _QUIET:
                    told, sent = _gist(state), now
                    yield state
                await self._pause(bell)
        finally:
            self._open -= 1

    def end_states(self) -> None:
        """Let every open page go: the process is about to end."""
        self._closing.set()

    def _account(self, provider: str) -> tuple[str | None, float | None]:
        try:
            account = self._accounts.find(provider)
        except JwtInvalid:
            return None, None
        return account.id, account.issued_at

    async def _pause(self, bell: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in (bell, self._closing)]
        try:
            await asyncio.wait(waits, timeout=_LOOK, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _nobody(provider: str) -> str:
    return f"nobody:{provider}"


def _gist(state: State) -> tuple[object, ...]:
    """Return what makes a difference to the person; time passing does not."""
    return state.account, state.asks, state.scene, len(state.lives), state.waiting, state.refused, state.config_source
