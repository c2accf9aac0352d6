"""
Logins are made anew before they end, and not all at once (promises.md P-12), on a clock that runs sixty times as fast.

Shown to fail once by: no jitter and no pace (bursts); refreshing at 100 % of the life (expired ones served).
"""

import asyncio
import time
from pathlib import Path

import pytest

from services.credentials.broker import BrokerSettings
from services.credentials.client import is_usable
from services.credentials.records import Secrets
from services.credentials.renewals import RenewalSettings
from services.credentials.token_provider import RefreshedSecrets, RefreshMode
from tests.component.credentials.conftest import show
from tests.support.credentials import credential, running_broker, until
from tests.support.token_provider import HttpTokenProvider, Provider

SPEED = 60.0


class FastClock:
    """The machine's clocks, sixty times as fast from the moment it is made."""

    def __init__(self) -> None:
        self._wall, self._begun = time.time(), time.monotonic()

    def now(self) -> float:
        return self._wall + (time.monotonic() - self._begun) * SPEED

    def monotonic(self) -> float:
        return self._begun + (time.monotonic() - self._begun) * SPEED


class Watched(HttpTokenProvider):
    """Notes when it is called, on the clock that goes fast."""

    def __init__(self, url: str, clock: FastClock) -> None:
        super().__init__(url)
        self._clock = clock
        self.moments: list[float] = []

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        self.moments.append(self._clock.now())
        return await super().refresh(secrets, mode)


async def _ahead(tmp_path: Path, provider: Provider, logins: int, life: float, lives: float) -> None:
    clock = FastClock()
    provider.set(expires_in=life, grace=0.0)
    speaker = Watched(provider.url, clock)
    settings = BrokerSettings(renewal=RenewalSettings(), tick=0.02)
    expired = 0
    async with running_broker(tmp_path, providers={"test": speaker}, settings=settings, clock=clock) as service:
        now = clock.now()
        for n in range(logins):
            name = f"crd-{n:04d}"
            token = provider.account(name)
            record = credential(
                name, provider="test", api_key="k", refresh_token=token, rotated_at=now, expires_at=now + life
            )
            await service.add(record)
        async with service.client("app", clock=clock) as client:
            await until(lambda: len(client.snapshot.leases) == logins)
            end = clock.now() + lives * life
            while clock.now() < end:
                expired += sum(not is_usable(lease, clock.now()) for lease in client.snapshot.leases)
                await asyncio.sleep(0.05)
    await speaker.aclose()
    busiest = max(sum(begin <= at < begin + 1.0 for at in speaker.moments) for begin in speaker.moments)
    counts = provider.counts()

    show("P-12", logins, expired, busiest_second=busiest, **counts)
    assert expired == 0
    assert busiest <= 5
    assert counts["calls"] >= logins
    assert counts["refused"] == 0


@pytest.mark.promise("P-12")
async def test_logins_that_began_together_are_renewed_in_time_and_spread_out(
    tmp_path: Path, provider: Provider
) -> None:
    await _ahead(tmp_path, provider, logins=40, life=600.0, lives=1.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-12")
async def test_two_hundred_logins_are_renewed_in_time_and_spread_out(tmp_path: Path, provider: Provider) -> None:
    await _ahead(tmp_path, provider, logins=200, life=3600.0, lives=2.0)
