"""What the `quota` command asks, and how it is put: pure but for `look`."""

from datetime import datetime
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from services.credentials.contract import Snapshot
from services.credentials.leases import leases_of
from services.credentials.settings import is_untouched
from services.credentials.vault_of import vault_of
from services.gateway import settings_rules as rules
from services.gateway.books.memory import MemoryBooks
from services.gateway.leasing import has_service
from services.gateway.quota import WORDS, Balance, Board, Reading, Window, burn_rate, minutes_to_empty, trail_name
from services.gateway.quota_poller import NOTE
from services.gateway.settings import GatewaySettings
from services.gateway.upstream.factory import make_transport
from services.gateway.watching import accounts, books_of, poller

_WIDTH: Final = 30
_SOON: Final = 86400.0  # seconds within which the day need not be named


async def look(settings: GatewaySettings) -> Board:
    """Return the newest board: what a gateway noted, or the upstream's own word when it is time to ask."""
    books = books_of(settings) or MemoryBooks()
    try:
        if has_service(settings):  # the logins are elsewhere, so only what its gateways found out is at hand
            noted = await books.recall(NOTE)
            return Board() if noted is None else msgspec.json.decode(noted, type=Board)
        snapshot = await _snapshot(settings)
        hosts = {account.origin.host for account in accounts(settings, lambda: snapshot)}
        proxies = [proxy for host in hosts if (proxy := rules.proxy_for(settings.upstream, host)) is not None]
        upstream = settings.upstream
        transport = make_transport(upstream.transport, proxies[0] if proxies else None, upstream.ca_file, 2)
        try:
            return await poller(settings, books, transport, CollectorRegistry(), lambda: snapshot).look()
        finally:
            await transport.aclose()
    finally:
        await books.aclose()


async def _snapshot(settings: GatewaySettings) -> Snapshot:
    if rules.upstream_key(settings) is not None or is_untouched(settings.store):
        return Snapshot(generation=0)
    async with vault_of(settings.store, settings.keyring) as (vault, _):
        records = await vault.credentials()
    now = datetime.now().astimezone().timestamp()
    return Snapshot(generation=0, leases=tuple(lease for record in records for lease in leases_of(record, now)))


def as_text(board: Board, now: float) -> str:
    """Return what is shown to people."""
    if not board.readings:
        return "nothing is known of the plan yet: there is no key and no login, or the gateway has not asked"
    return "\n\n".join("\n".join(_account(board, reading, now)) for reading in board.readings)


def _account(board: Board, reading: Reading, now: float) -> list[str]:
    level = f" ({reading.level})" if reading.level else ""
    lines = [f"{reading.provider} {reading.plan}{level}, {reading.credential}, {ago(now - reading.at)}"]
    for window in reading.windows:
        rate = burn_rate(board.trails.get(trail_name(reading, window), ()))
        lines.append(f"  {WORDS.get(window.name, window.name):<14} {bar(window.used)} {window.used:6.1%} used")
        lines += [f"  {'':<14} {words}" for words in _window_words(window, rate, now)]
    lines += [f"  {balance.name:<14} {_balance_words(balance, now)}" for balance in reading.balances]
    return lines


def _window_words(window: Window, rate: float | None, now: float) -> list[str]:
    words = []
    if window.resets_at is not None:
        words.append(f"begins anew {moment(window.resets_at, now)} (in {span(window.resets_at - now)})")
    left = minutes_to_empty(window, rate)
    if rate is not None and left is not None:
        before = window.resets_at is not None and now + left * 60 < window.resets_at
        end = f"empty in {span(left * 60)}" if before else "lasts until then"
        words.append(f"burns {rate:.1%} an hour, {end}")
    return words


def _balance_words(balance: Balance, now: float) -> str:
    share = balance.used / balance.total if balance.total else 0.0
    ends = "" if balance.expires_at is None else f", until {moment(balance.expires_at, now)}"
    return f"{bar(share)} {balance.remaining:,.0f} of {balance.total:,.0f} {balance.unit} left{ends}"


def bar(share: float, width: int = _WIDTH) -> str:
    """Return a bar of what is used."""
    full = min(width, max(0, round(share * width)))
    return "█" * full + "░" * (width - full)


def span(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    minutes = max(0, round(seconds / 60))
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60:02d} min" if hours else f"{minutes} min"


def moment(seconds: float, now: float) -> str:
    """Return a time as the clock on the wall here has it."""
    local = datetime.fromtimestamp(seconds).astimezone()
    return local.strftime("%H:%M" if 0 <= seconds - now < _SOON else "%a %d %b %H:%M")


def ago(seconds: float) -> str:
    """Say how old something is."""
    return "as of now" if seconds < 90 else f"as of {span(seconds)} ago"


def shown(board: Board, now: float) -> list[dict[str, object]]:
    """Return `quota --json`: one entry for each account."""
    entries: list[dict[str, object]] = []
    for reading in board.readings:
        windows = []
        for window in reading.windows:
            rate = burn_rate(board.trails.get(trail_name(reading, window), ()))
            left = minutes_to_empty(window, rate)
            resets_in = None if window.resets_at is None else window.resets_at - now
            windows.append(
                msgspec.to_builtins(window)
                | {"burn_per_hour": rate, "minutes_to_empty": left, "seconds_to_reset": resets_in}
            )
        entries.append(msgspec.to_builtins(reading) | {"windows": windows})
    return entries
