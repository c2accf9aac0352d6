"""
Carries out what `refresh.py` decides: store, provider and the lease's watchdog. Decides nothing itself.

A call and its commit are never cancelled: whoever waits for an attempt waits behind a shield, and the end of the
process waits for it. Only pauses are cut short then.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from services.chassis.tracing import step
from services.credentials.claims import Claims
from services.credentials.commits import Commits
from services.credentials.failpoints import NO_FAILPOINTS, Failpoints
from services.credentials.losses import Losses
from services.credentials.records import Credential
from services.credentials.refresh import (
    Acquire,
    Call,
    Commit,
    End,
    Forget,
    Hold,
    Intend,
    Mark,
    Outcome,
    Pause,
    Policy,
    Read,
    Recover,
    Refused,
    Reply,
    Step,
    Steps,
    epoch,
    refresh,
)
from services.credentials.spool import Entry
from services.credentials.store_time import StoreTime
from services.credentials.stores.port import Granted, Store, StoreUnavailable
from services.credentials.token_provider import (
    OutcomeUnknown,
    ProviderFailure,
    RefreshedSecrets,
    RefreshMode,
    TokenProvider,
)
from services.credentials.vault import CREDENTIAL, Vault

_SLACK: Final = 1.5  # of the provider's own deadline, after which the call is ended from outside

_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The process ends, and nothing is lost if this attempt does too."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What attempts work with."""

    vault: Vault
    store: Store
    commits: Commits
    losses: Losses
    claims: Claims
    providers: Mapping[str, TokenProvider]
    time: StoreTime
    failpoints: Failpoints = NO_FAILPOINTS


class Refresher:
    """Makes credentials anew, one attempt a `run`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Cut pauses short; calls and commits go on to their end."""
        self._stopping.set()

    async def run(self, record: Credential, mode: RefreshMode, policy: Policy) -> Outcome:
        """Make a record anew; a store or a provider that fails is an outcome. Raises NotFound, Undecryptable."""
        attempt = _Attempt(self._parts, record.id, mode, policy, self._stopping)
        outcome = Outcome(End.BUSY, record)
        try:
            outcome = await _walk(refresh(record, mode, policy), attempt)
        except (StoreUnavailable, _Stopped):
            return outcome
        finally:
            await attempt.close(pending=outcome.end is End.PENDING)
        if outcome.end is End.PENDING:
            return msgspec.structs.replace(outcome, record=self._parts.commits.pending.get(record.id, record))
        return outcome


async def _walk(steps: Steps, attempt: "_Attempt") -> Outcome:
    reply: Reply = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
        reply = await attempt.carry_out(step)


class _Attempt:
    """One run: its lease, the watchdog that keeps it, and how each step is carried out."""

    def __init__(
        self, parts: Parts, credential_id: str, mode: RefreshMode, policy: Policy, stopping: asyncio.Event
    ) -> None:
        self._parts = parts
        self._id = credential_id
        self._mode = mode
        self._policy = policy
        self._stopping = stopping
        self._owner = parts.claims.owner(credential_id)
        self._fence = 0
        self._asked_at = 0.0
        self._watchdog: asyncio.Task[None] | None = None

    async def carry_out(self, step: Step) -> Reply:  # noqa: PLR0911 -- a table
        """Carry out a step. Raises StoreUnavailable, _Stopped, NotFound, Undecryptable."""
        match step:
            case Read():
                return await self._parts.vault.read_credential(self._id)
            case Acquire(seen=seen):
                return await self._acquire(seen)
            case Intend(record=record):
                return await self._parts.commits.intend(record, self._fence)
            case Hold():
                return await self._parts.store.renew(CREDENTIAL, self._id, self._owner, ttl=self._policy.lease)
            case Call(record=record):
                return await self._call(record)
            case Refused(record=record):
                return self._parts.losses.refused(record)
            case Commit(basis=basis, answer=answer):
                return await self._commit(basis, answer)
            case Mark(basis=basis, reason=reason):
                return await self._parts.losses.mark(basis, reason)
            case Pause() | Recover() | Forget():
                await self._do(step)
                return None

    async def _do(self, step: Pause | Recover | Forget) -> None:
        match step:
            case Pause(seconds=seconds):
                await self._pause(seconds)
            case Recover():
                await self._parts.commits.recover(self._id)
            case Forget(record=record):
                await self._parts.commits.forget(self._id, epoch(record))

    async def close(self, *, pending: bool) -> None:
        """Give the lease back, or leave it to whoever commits the answer that the store does not have yet."""
        if self._watchdog is not None:
            self._watchdog.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watchdog
        if pending:
            self._parts.commits.holders[self._id] = self._owner
        else:
            await self._parts.claims.end(self._id, self._owner, granted=self._fence > 0)

    async def _acquire(self, seen: int) -> Reply:
        claims = self._parts.claims
        try:
            got = await claims.acquire(self._id, self._owner, ttl=self._policy.lease, seen=seen)
        except StoreUnavailable:
            claims.leave(self._id, self._owner)
            raise
        if isinstance(got, Granted):
            self._fence = got.fence
            self._watchdog = asyncio.ensure_future(self._keep())
            await self._parts.failpoints.at("refresh.after_acquire")
        return got

    async def _keep(self) -> None:
        """
        Hold the lease for as long as the attempt runs, however slow the provider is.

        A store that did not answer is asked again soon: two thirds of the lease are left, and are enough for several
        tries only if none of them waits for another third.
        """
        held, pause = True, self._policy.lease / 3
        while held:
            await asyncio.sleep(pause)
            pause = self._policy.lease / 30
            with contextlib.suppress(StoreUnavailable):
                held = await self._parts.store.renew(CREDENTIAL, self._id, self._owner, ttl=self._policy.lease)
                pause = self._policy.lease / 3

    async def _pause(self, seconds: float) -> None:
        await self._parts.failpoints.at("refresh.before_wait")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise _Stopped

    async def _call(self, record: Credential) -> RefreshedSecrets | ProviderFailure:
        await self._parts.failpoints.at("refresh.before_call")
        self._asked_at = self._parts.time.now()
        try:
            with step("refresh credential", **{"zcode.credential_id": record.id}):
                async with asyncio.timeout(self._policy.provider * _SLACK):
                    answer = await self._parts.providers[record.provider].refresh(record.secrets, self._mode)
        except ProviderFailure as failure:
            _log.warning("refresh of %s: %s (%s)", record.id, type(failure).__name__, failure)
            return failure
        except Exception as error:  # noqa: BLE001 -- whatever it is, the token may have been used
            _log.error("refresh of %s failed: %s", record.id, type(error).__name__)
            return OutcomeUnknown(type(error).__name__)
        await self._parts.failpoints.at("refresh.after_answer")
        return answer

    async def _commit(self, basis: Credential, answer: RefreshedSecrets) -> Credential | None:
        entry = Entry(
            credential_id=basis.id,
            epoch=epoch(basis),
            fence=self._fence,
            answer=answer,
            at=self._asked_at,
            owner=self._owner,
        )
        return await self._parts.commits.take(basis, entry)
