"""
Asks the account endpoints what is left of the plan: one gateway for all, at most once a minute, never for a request.

Theory of operation. Every gateway wakes now and then. The one that gets the turn (`Books.claim`) asks each account and
notes the answers; the others read the note. So all of them show the same, and the upstream is asked once.

    turn    note        what happens
    got     any         ask, note, show
    taken   readable    show what is noted
    taken   none        show nothing yet
    store away          keep showing what was known; ask nothing, because nobody knows who else does
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.chassis.storage import StoreUnavailable
from services.chassis.telemetry import Counter, Family, Gauge, Readings
from services.gateway.books.port import Books
from services.gateway.quota import Balance, Board, Reading, Unreadable, Window, followed, read_balances, read_limits
from services.gateway.relay import collect
from services.gateway.routing import Plan
from services.gateway.upstream.transport import (
    AnswerLimits,
    Origin,
    Timeouts,
    TransportError,
    UpstreamRequest,
    UpstreamTransport,
)

SHORTEST: Final = 60.0  # seconds between two questions
NOTE: Final = "quota"

_LIMIT: Final = AnswerLimits(body=256 * 1024)
_TIMEOUTS: Final = Timeouts(first_byte=15.0, idle=15.0, total=20.0)
_LIMITS_PATH: Final = b"/api/monitor/usage/quota/limit"
_DEVICE: Final = "device"
_YEARS: Final = 10 * 365 * 86400.0

_WINDOW: Final = ("provider", "plan", "credential", "window")
_BALANCE: Final = ("provider", "credential", "balance", "unit")


def _gauge(name: str, help_: str, labels: tuple[str, ...], unit: str = "") -> Family:
    return Family(name=name, kind="gauge", help=help_, labels=labels, unit=unit)


USED: Final = _gauge("zcode_quota_used_ratio", "Share of a plan's window that is used.", _WINDOW, "ratio")
RESETS: Final = _gauge(
    "zcode_quota_reset_timestamp_seconds", "When a window begins anew, seconds since the epoch.", _WINDOW, "seconds"
)
REMAINING: Final = _gauge("zcode_balance_remaining_units", "What is left of an allowance.", _BALANCE, "units")
TOTAL: Final = _gauge("zcode_balance_total_units", "What an allowance was.", _BALANCE, "units")
READ: Final = _gauge(
    "zcode_quota_read_timestamp_seconds",
    "When an account last said what is left, seconds since the epoch.",
    ("provider", "plan", "credential"),
    "seconds",
)
POLLS: Final = Family(
    name="zcode_quota_polls",
    kind="counter",
    help="Questions for what is left, by what came of them.",
    labels=("outcome",),
)
FAMILIES: Final = (USED, RESETS, REMAINING, TOTAL, READ, POLLS)

_log: Final = logging.getLogger(__name__)
_boards: Final = msgspec.json.Decoder(Board)


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to ask, and with what."""

    provider: str
    plan: Plan
    credential: str
    secret: Secret
    origin: Origin
    prefix: bytes = b""  # of the start plan's path


class QuotaClient:
    """Asks one account."""

    def __init__(
        self,
        transport: UpstreamTransport,
        identity: tuple[tuple[bytes, bytes], ...],
        *,
        app_version: str,
        platform: str,
    ) -> None:
        self._transport = transport
        self._identity = identity
        self._balance = f"/billing/balance?app_version={app_version}&platform={platform}".encode("ascii", "ignore")

    async def ask(self, account: Account, device: str, at: float) -> Reading:
        """Return what the account says; a failure is a reading with a problem."""
        reading = Reading(provider=account.provider, plan=account.plan.value, credential=account.credential, at=at)
        try:
            status, body = await self._get(account, device)
            if status in (401, 403):
                return msgspec.structs.replace(reading, problem=f"refused: the credential is not accepted ({status})")
            if status != 200:
                return msgspec.structs.replace(reading, problem=f"failed: it answered with status {status}")
            if account.plan is Plan.START:
                return msgspec.structs.replace(reading, balances=read_balances(body))
            level, windows = read_limits(body)
        except TransportError as error:
            return msgspec.structs.replace(reading, problem=f"not reached: {error}")
        except Unreadable as error:
            return msgspec.structs.replace(reading, problem=f"not understood: {error}")
        return msgspec.structs.replace(reading, level=level, windows=windows)

    async def _get(self, account: Account, device: str) -> tuple[int, bytes]:
        secret = account.secret.reveal().encode()
        start = account.plan is Plan.START
        headers = [
            (b"accept", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"authorization", b"Bearer " + secret if start else secret),
            *self._identity,
        ]
        if start:
            headers.append((b"x-device-mid", device.encode()))
        request = UpstreamRequest(
            method="GET",
            origin=account.origin,
            path=account.prefix + self._balance if start else _LIMITS_PATH,
            headers=headers,
            body=b"",
            timeouts=_TIMEOUTS,
            limits=_LIMIT,
        )
        answer = await self._transport.send(request)
        try:
            return answer.status, await collect(answer)
        finally:
            answer.close()


class QuotaPoller:
    """Holds the newest board. `start` and `aclose` it on the loop that uses it; `look` may be called alone."""

    def __init__(
        self,
        books: Books,
        accounts: Callable[[], Sequence[Account]],
        client: QuotaClient,
        registry: CollectorRegistry,
        *,
        every: float,
        clock: Clock | None = None,
    ) -> None:
        self._books = books
        self._accounts = accounts
        self._client = client
        self._every = max(SHORTEST, every)
        self._clock: Clock = clock or SystemClock()
        self._polls = Counter(POLLS, registry)
        self._tasks = Tasks()
        self.board = Board()
        self._export(registry)

    def start(self) -> None:
        """Begin to look."""
        _ = self._tasks.start(self._follow(), name="quota")

    async def aclose(self) -> None:
        """Stop looking."""
        await self._tasks.aclose()

    async def look(self) -> Board:
        """Ask if it is our turn, else read what was noted; returns the newest board. Raises StoreUnavailable."""
        noted = await self._books.recall(NOTE)
        if noted is not None:
            self._take(noted)
        if await self._books.claim(NOTE, self._every * 0.9):
            await self._ask()
        return self.board

    def _take(self, noted: bytes) -> None:
        try:
            self.board = _boards.decode(noted)
        except msgspec.DecodeError:
            _log.warning("what another version noted of the quota is not understood")

    async def _ask(self) -> None:
        accounts = self._accounts()
        device = await self._device() if any(account.plan is Plan.START for account in accounts) else ""
        readings = [await self._client.ask(account, device, self._clock.now()) for account in accounts]
        for reading in readings:
            # A problem begins with one of few words of ours, and goes on after a colon.
            self._polls.labels(reading.problem.partition(":")[0] or "answered").inc()
        self.board = followed(self.board, readings)
        await self._books.note(NOTE, msgspec.json.encode(self.board), 10 * self._every)

    async def _device(self) -> str:
        """Return the id by which the upstream knows this installation, made once."""
        noted = await self._books.recall(_DEVICE)
        if noted is not None:
            return noted.decode()
        made = str(uuid.uuid4())
        await self._books.note(_DEVICE, made.encode(), _YEARS)
        return made

    async def _follow(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                _log.info("the quota is not looked at: %s", error)
            await asyncio.sleep(self._every * random.uniform(1.0, 1.2))  # noqa: S311  # jitter, not a secret

    def _export(self, registry: CollectorRegistry) -> None:
        Gauge(USED, registry, lambda: self._windows(lambda window: window.used))
        Gauge(RESETS, registry, lambda: self._windows(lambda window: window.resets_at))
        Gauge(REMAINING, registry, lambda: self._balances(lambda balance: balance.remaining))
        Gauge(TOTAL, registry, lambda: self._balances(lambda balance: balance.total))
        Gauge(READ, registry, self._read)

    def _windows(self, value: Callable[[Window], float | None]) -> Readings:
        found: dict[tuple[str, ...], float] = {}
        for reading in self.board.readings:
            for window in reading.windows:
                number = value(window)
                if number is not None:
                    found[reading.provider, reading.plan, reading.credential, window.name] = number
        return found

    def _balances(self, value: Callable[[Balance], float]) -> Readings:
        return {
            (reading.provider, reading.credential, balance.name, balance.unit): value(balance)
            for reading in self.board.readings
            for balance in reading.balances
        }

    def _read(self) -> Readings:
        return {
            (reading.provider, reading.plan, reading.credential): reading.at
            for reading in self.board.readings
            if not reading.problem
        }
