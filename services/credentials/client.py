"""
The gateway's side of the credentials service: the newest snapshot in memory, kept new by a long poll.

    address                    how                                               who is trusted
    unix:/run/zr/cred.sock     HTTP over a unix socket: the sidecar              mode 0660 and a token file
    http://… https://…         HTTP: a Deployment of its own                     a token file, and TLS where it says so
    app:                       calls into the same process, no HTTP at all       -

`snapshot` is an attribute read: a request of the gateway makes no hop. While the service is away the last snapshot goes
on being served, for `keep` seconds at most; whether a lease in it is still good is for its `expires_at` to say.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.peer.token_file import TokenFile
from services.chassis.process import Tasks
from services.chassis.trust import Trust
from services.credentials.calls import Calls
from services.credentials.contract import (
    AUDIENCE,
    LONGEST_WAIT,
    REPORT_PATH,
    SNAPSHOT_PATH,
    Lease,
    Report,
    ReportKind,
    Snapshot,
    State,
)
from services.credentials.errors import (
    CredentialsError,
    Unavailable,
)
from services.credentials.settings import ListenSettings, peer_token_path

_log = logging.getLogger(__name__)

KEEP: Final = 900.0  # seconds a snapshot is served after the service was last heard of
EMPTY: Final = Snapshot(generation=-1)

_MARGIN: Final = 5.0  # seconds an answer may take on top of what the service was asked to wait
_CONNECT: Final = 0.5
_REPORT: Final = 1.0  # seconds for a report's answer
_RENEWAL: Final = 20.0  # seconds where the service makes a credential anew before it answers
_BREATH: Final = 0.02  # seconds between two polls, in case that a service does not make us wait
_FIRST_WAIT, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two tries while the service is away


class CredentialsService(Protocol):
    """What a client speaks to: the broker itself, or one behind HTTP."""

    async def poll(self, after: int, wait: float) -> Snapshot:
        """Return a snapshot of another generation than `after` as soon as there is one, or the same after `wait` s."""

    async def report(self, report: Report) -> Snapshot:
        """Take note of a finding and return the snapshot that follows from it."""


class HttpService:
    """The service behind HTTP. Raises CredentialsError of the kind that its answer names, else Unavailable."""

    def __init__(
        self, address: str, *, tokens: TokenFile, clock: Clock | None = None, trust: Trust | None = None
    ) -> None:
        self._calls = Calls(address, audience=AUDIENCE, tokens=tokens, clock=clock, trust=trust)

    async def poll(self, after: int, wait: float) -> Snapshot:
        """Ask for the snapshot, waiting there for a newer one."""
        target = f"{SNAPSHOT_PATH}?after={after}&wait={wait:g}"
        return await self._call("GET", target, b"", wait + _MARGIN)

    async def report(self, report: Report) -> Snapshot:
        """Report a finding; signed, because it changes something."""
        seconds = _RENEWAL if report.kind is ReportKind.UNAUTHORIZED else _REPORT
        return await self._call("POST", REPORT_PATH, msgspec.json.encode(report), seconds)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._calls.aclose()

    async def _call(self, method: str, target: str, body: bytes, seconds: float) -> Snapshot:
        return await self._calls.call(method, target, body, seconds=seconds, wanted=Snapshot)


class CredentialsClient:
    """Holds the newest snapshot. One per process; `start` and `aclose` it on the loop that uses it."""

    def __init__(
        self,
        service: CredentialsService,
        *,
        keep: float = KEEP,
        wait: float = LONGEST_WAIT,
        clock: Clock | None = None,
        on_change: Callable[[Snapshot], None] = lambda _: None,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._service = service
        self._keep = keep
        self._wait = wait
        self._clock: Clock = clock or SystemClock()
        self._on_change = on_change
        self._on_close = on_close
        self._snapshot = EMPTY
        self._heard = float("-inf")  # monotonic
        self._reachable = False
        self._said = ""
        self._first = asyncio.Event()
        self._reports: dict[Report, asyncio.Task[Snapshot]] = {}
        self._tasks = Tasks()
        self._sending = Tasks(on_failure=lambda *_: None)  # who reported is told

    @property
    def snapshot(self) -> Snapshot:
        """What may be used now; EMPTY before the first contact, and when the service has been away for too long."""
        if self._clock.monotonic() - self._heard > self._keep:
            return EMPTY
        return self._snapshot

    @property
    def reachable(self) -> bool:
        """Whether the last call was answered. A service that went silent shows at the end of a poll."""
        return self._reachable

    @property
    def usable(self) -> bool:
        """Whether there is any lease that could be used now."""
        now = self._clock.now()
        return any(is_usable(lease, now) for lease in self.snapshot.leases)

    async def start(self, *, seconds: float = 2.0) -> bool:
        """Begin, and wait so long for the first snapshot; False when it did not come, but the tries go on."""
        _ = self._tasks.start(self._follow(), name="credentials snapshot")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._first.wait()
        return self._first.is_set()

    async def aclose(self) -> None:
        """Stop following and close what was opened for it."""
        await self._tasks.aclose()
        await self._sending.aclose()
        if self._on_close is not None:
            await self._on_close()

    async def report(self, report: Report) -> Snapshot:
        """
        Tell the service of a finding, once for all who found the same, and return the snapshot that follows.

        When a newer version of the credential is at hand already, that is the answer. Raises CredentialsError.
        """
        held = self.snapshot
        if any(lease.credential_id == report.credential_id and lease.version > report.version for lease in held.leases):
            return held
        key = msgspec.structs.replace(report, until=None)
        task = self._reports.get(key)
        if task is None:
            task = self._sending.start(self._send(report), name="credentials report")
            self._reports[key] = task
            task.add_done_callback(lambda _: self._reports.pop(key, None))
        # A client that goes away must not take the finding of the others with it.
        return await asyncio.shield(task)

    async def _send(self, report: Report) -> Snapshot:
        try:
            snapshot = await self._service.report(report)
        except CredentialsError as error:
            self._reachable = self._reachable and not isinstance(error, Unavailable)
            raise
        if snapshot.generation > self._snapshot.generation:
            self._take(snapshot)
        return self.snapshot

    async def _follow(self) -> None:
        failures = 0
        while True:
            after = self._snapshot.generation
            try:
                snapshot = await self._service.poll(after, self._wait)
            except CredentialsError as error:
                self._complain(str(error))
                self._reachable = False
                failures += 1
                await asyncio.sleep(_pause(failures))
                continue
            if failures:
                _log.info("credentials: the service answers again")
                self._said = ""
            failures = 0
            if snapshot.generation > self._snapshot.generation or after == self._snapshot.generation:
                self._take(snapshot)  # else a report has brought a newer one meanwhile
            self._heard = self._clock.monotonic()
            await asyncio.sleep(_BREATH)

    def _complain(self, reason: str) -> None:
        """Say once what is wrong, and again when it is something else."""
        if reason != self._said:
            _log.warning("credentials: %s", reason)
        self._said = reason

    def _take(self, snapshot: Snapshot) -> None:
        changed = snapshot != self._snapshot
        self._snapshot = snapshot
        self._heard = self._clock.monotonic()
        self._reachable = True
        self._first.set()
        if changed:
            self._on_change(snapshot)


def is_usable(lease: Lease, now: float) -> bool:
    """Say whether a lease may be put on the wire at this time (seconds since the epoch)."""
    if lease.expires_at is not None and lease.expires_at <= now:
        return False
    if lease.state is State.COOLING:
        return lease.usable_at is not None and lease.usable_at <= now
    return lease.state is State.READY


def _pause(failures: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_WAIT * 2.0 ** min(failures, 10))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 -- spreads the tries of many gateways


def connect(
    address: str,
    *,
    app: CredentialsService | None = None,
    token_file: Path | None = None,
    trust: Trust | None = None,
    keep: float = KEEP,
    clock: Clock | None = None,
    on_change: Callable[[Snapshot], None] = lambda _: None,
) -> CredentialsClient:
    """
    Make a client for `unix:/path`, `http(s)://host` or `app:`; `app` is the broker of the same process.

    Raises ValueError when the address and the rest do not fit together. Needs a running event loop.
    """
    if address == "app:":
        if app is None:
            raise ValueError("credentials.address: app: needs a broker in this process")
        return CredentialsClient(app, keep=keep, clock=clock, on_change=on_change)
    if not address.startswith(("unix:/", "http://", "https://")):
        raise ValueError("credentials.address: must be unix:/path, http://…, https://… or app:")
    if token_file is None:
        raise ValueError("credentials.tokenFile: the service refuses calls without a token")
    service = HttpService(address, tokens=TokenFile(token_file), clock=clock, trust=trust)
    return CredentialsClient(service, keep=keep, clock=clock, on_change=on_change, on_close=service.aclose)


def connected(listen: ListenSettings) -> CredentialsClient:
    """Make a client of the service that the settings name. Needs a running event loop; raises CaFileUnusable."""
    return connect(listen.address, token_file=peer_token_path(listen), trust=trust_of(listen), keep=listen.keep)


def trust_of(listen: ListenSettings) -> Trust | None:
    """Return what a client trusts and shows over TLS, None for the machine's own authorities. Raises CaFileUnusable."""
    if listen.ca_file is None and listen.client_cert_file is None:
        return None
    return Trust(
        "credentials", ca_file=listen.ca_file, cert_file=listen.client_cert_file, key_file=listen.client_key_file
    )
