"""
Who is being made anew in this process, and who is next: single flight, pacing and backoff around the refresher.

Ahead of time at most `pace` attempts begin in a second, and none waits for another process's: it will show in the next
snapshot. An attempt that a refusal asks for waits, because a request waits for it.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from services.chassis.clock import Clock
from services.chassis.process import Tasks
from services.credentials.commits import Observer
from services.credentials.errors import CredentialsError
from services.credentials.records import Credential
from services.credentials.refresh import End, Outcome, Policy
from services.credentials.refresher import Refresher
from services.credentials.schedule import backoff, due_at, share
from services.credentials.token_provider import RefreshMode, mode_of

_LOOK: Final = 0.5  # seconds between two looks whether another process is done

_log = logging.getLogger(__name__)


class RenewalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, and how each provider is refreshed (unset: as what is stored allows)."""

    policy: Policy = Policy()
    modes: Mapping[str, RefreshMode] = {}
    pace: float = 3.0  # attempts ahead of time that may begin in a second
    burst: float = 2.0  # and how many of them at once


class Renewals:
    """The attempts of one process."""

    def __init__(
        self,
        refresher: Refresher,
        providers: frozenset[str],
        *,
        settings: RenewalSettings,
        clock: Clock,
        observer: Observer,
        learn: Callable[[Credential], None],
    ) -> None:
        self._refresher = refresher
        self._providers = providers
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._learn = learn  # what an attempt found: else the next one begins with what this one began with
        self._running: dict[str, asyncio.Task[Outcome]] = {}
        self._tasks = Tasks(on_failure=lambda *_: None)  # who waits is told, and `_ended` logs
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}  # monotonic
        self._allowance = settings.burst
        self._counted_at = clock.monotonic()
        self._closing = False

    def mode(self, record: Credential) -> RefreshMode:
        """Return how a record can be made anew here."""
        if record.provider not in self._providers:
            return RefreshMode.NONE
        return mode_of(record.kind, record.secrets, self._settings.modes.get(record.provider))

    def may(self, record: Credential) -> bool:
        """Say whether an attempt is worth it now: there is a way, and the last failure is long enough ago."""
        if self._closing or self.mode(record) is RefreshMode.NONE:
            return False
        return record.id in self._running or self._clock.monotonic() >= self._not_before.get(record.id, float("-inf"))

    async def renew(self, record: Credential) -> Outcome:
        """Make a record anew and wait for it; whoever asks meanwhile gets the same outcome. Raises CredentialsError."""
        # Who waits may go away; the attempt must not go with him.
        return await asyncio.shield(self._start(record, self._settings.policy))

    def ahead(
        self, records: Mapping[str, Credential], now: float, *, but: Mapping[str, Credential], urgent: set[str]
    ) -> None:
        """Begin what is due at `now` (the store's clock) or urgent, and not in `but`, as far as the pace allows."""
        monotonic = self._clock.monotonic()
        gained = (monotonic - self._counted_at) * self._settings.pace
        self._allowance = min(self._settings.burst, self._allowance + gained)
        self._counted_at = monotonic
        due = [
            (0.0 if record.id in urgent else at, record)
            for record in records.values()
            if (at := due_at(record)) is not None
            and (at <= now or record.id in urgent)
            and record.id not in self._running
        ]
        policy = msgspec.structs.replace(self._settings.policy, patience=0.0)
        for _, record in sorted(due, key=lambda each: each[0]):
            if self._allowance < 1.0:
                return
            if record.id not in but and self.may(record):
                self._allowance -= 1.0
                urgent.discard(record.id)
                _ = self._start(record, policy)

    async def aclose(self, seconds: float) -> bool:
        """Begin nothing more and wait for what is under way; returns whether all of it has ended."""
        self._closing = True
        self._refresher.stop()
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=seconds)
        return await self._tasks.aclose()

    def _start(self, record: Credential, policy: Policy) -> asyncio.Task[Outcome]:
        task = self._running.get(record.id)
        if task is None:
            task = self._tasks.start(self._run(record, policy), name=f"refresh {record.id}")
            self._running[record.id] = task
        return task

    async def _run(self, record: Credential, policy: Policy) -> Outcome:
        try:
            outcome = await self._refresher.run(record, self.mode(record), policy)
        except CredentialsError as error:
            _log.warning("refresh of %s: %s", record.id, error)
            self._later(record, None)
            raise
        except BaseException as error:
            _log.exception("refresh of %s failed: %s", record.id, type(error).__name__)
            self._later(record, None)
            raise
        finally:
            del self._running[record.id]
        self._note(record, outcome)
        return outcome

    def _note(self, record: Credential, outcome: Outcome) -> None:
        match outcome.end:
            case End.LATER:
                self._later(record, outcome.retry_after)
            case End.BUSY:
                # No failure, so no backoff: when the holder dies, somebody must be there to go on.
                self._not_before[record.id] = self._clock.monotonic() + min(_LOOK, self._settings.policy.lease / 10)
            case End.REFRESHED | End.NEWER | End.PENDING | End.LOGIN_REQUIRED:
                self._failures.pop(record.id, None)
                self._not_before.pop(record.id, None)
                self._learn(outcome.record)

    def _later(self, record: Credential, retry_after: float | None) -> None:
        failures = self._failures[record.id] = self._failures.get(record.id, -1) + 1
        pause = backoff(failures, retry_after, share(f"{record.id}{failures}{id(self)}"))
        self._not_before[record.id] = self._clock.monotonic() + pause
        self._observer.note("refresh.fail", record.id, f"again in {pause:.0f} s")
