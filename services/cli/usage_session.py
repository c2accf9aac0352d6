"""What the `usage` command reads and how it is put: pure but for `read`, `ask` and `key_names`."""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import httpx2
import msgspec

from services.chassis.storage import StoreUnavailable
from services.credentials.errors import Conflict, CredentialsError, Unavailable
from services.gateway import usage_page
from services.gateway.books.port import HOUR, Tally, Usage, UsageKey
from services.gateway.settings import GatewaySettings
from services.gateway.watching import books_of

_WIDTH: Final = 24  # characters of the longest bar
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_TIMES: Final = ("hour", "day")
_PATIENCE: Final = 30.0  # seconds
_OK: Final = 200


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Usage that is shown as one line."""

    name: str
    tally: Tally

    def shown(self) -> dict[str, object]:
        """Return an entry of `usage --json`."""
        return {"name": self.name, **msgspec.structs.asdict(self.tally), "tokens": self.tally.tokens}


async def read(settings: GatewaySettings, now: float, hours: int) -> Usage:
    """Return what was used in the last so many hours, this one included."""
    books = books_of(settings)
    if books is None:
        return {}
    last = int(now) // HOUR
    try:
        return await books.read(last - hours + 1, last)
    finally:
        await books.aclose()


def ask(server: str, hours: int) -> Usage:
    """Return the same by way of a running gateway's admin port. Raises Unavailable, Conflict for what it refuses."""
    url = f"{server.rstrip('/')}{usage_page.PATH}"
    try:
        answer = httpx2.get(url, params={"hours": hours}, timeout=_PATIENCE, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unavailable(f"no gateway answers at {url}: {str(error) or type(error).__name__}") from None
    try:
        if answer.status_code == _OK:
            return msgspec.json.decode(answer.content, type=usage_page.Report).usage()
        reason = msgspec.json.decode(answer.content, type=dict[str, str])["reason"]
    except (msgspec.DecodeError, KeyError):
        raise Conflict(f"{url} is not the admin port of a gateway: it answers {answer.status_code}") from None
    raise Conflict(reason)


async def key_names(settings: GatewaySettings) -> dict[str, str]:
    """Return what the client keys are called, as far as the store lets itself be opened."""
    from services.cli import keys_session, office  # noqa: PLC0415 - opens the vault

    with contextlib.suppress(StoreUnavailable, CredentialsError):
        return {key.id: key.name for key in await keys_session.listed(office.Office(settings))}
    return {}


def grouped(
    usage: Usage, by: str, *, now: float = 0.0, hours: int = 0, names: Mapping[str, str] | None = None
) -> list[Group]:
    """Add up by a field; hours and days in their order and without gaps, all else by tokens."""
    found: dict[str, Tally] = {}
    if by in _TIMES:
        last = int(now) // HOUR
        found = {_name(UsageKey(hour, "", "", ""), by): Tally() for hour in range(last - hours + 1, last + 1)}
    for key, tally in sorted(usage.items()):
        found.setdefault(_name(key, by), Tally()).add(tally)
    groups = [Group(name=_called(name, names or {}), tally=tally) for name, tally in found.items()]
    return groups if by in _TIMES else sorted(groups, key=lambda group: -group.tally.tokens)


def _name(key: UsageKey, by: str) -> str:
    if by in _TIMES:
        form = "%Y-%m-%d %H:00" if by == "hour" else "%Y-%m-%d"
        return datetime.fromtimestamp(key.hour * HOUR).astimezone().strftime(form)
    name: str = getattr(key, by)
    return name or "-"


def _called(name: str, names: Mapping[str, str]) -> str:
    return f"{names[name]} ({name})" if name in names else name


def as_table(groups: Sequence[Group], by: str) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Return headings and rows, with a bar each, and a sum where there are several."""
    most = max((group.tally.tokens for group in groups), default=0)
    rows = [(group.name, *_numbers(group.tally), bar(group.tally.tokens, most)) for group in groups]
    if len(groups) > 1:
        total = Tally()
        for group in groups:
            total.add(group.tally)
        rows.append(("all", *_numbers(total), ""))
    return (by.capitalize(), "Requests", "Failed", "Input", "Cached", "Output", "Reasoning", "Tokens"), rows


def _numbers(tally: Tally) -> tuple[str, ...]:
    cached = f"{tally.cache_read:,}" + (f" +{tally.cache_write:,}" if tally.cache_write else "")
    return (
        f"{tally.requests:,}",
        f"{tally.failures:,}" if tally.failures else "-",
        f"{tally.input:,}",
        cached,
        f"{tally.output:,}",
        f"{tally.reasoning:,}",
    )


def bar(value: float, most: float, width: int = _WIDTH) -> str:
    """Return a bar in eighths of a character, followed by the number."""
    eighths = round(8 * width * value / most) if most else 0
    full, rest = divmod(eighths, 8)
    return f"{'█' * full}{_EIGHTHS[rest] if rest else ''} {value:,.0f}".lstrip()


def csv_lines(usage: Usage) -> Iterator[str]:
    """Return CSV with a heading, every row apart; hours with their offset."""
    fields = Tally.__struct_fields__
    yield ",".join(("hour", "model", "key", "credential", *fields))
    for key, tally in sorted(usage.items()):
        line = io.StringIO()
        hour = datetime.fromtimestamp(key.hour * HOUR).astimezone().isoformat()
        numbers = [getattr(tally, name) for name in fields]
        csv.writer(line, lineterminator="").writerow([hour, key.model, key.key, key.credential, *numbers])
        yield line.getvalue()


def nothing(settings: GatewaySettings, since: str) -> str:
    """Say why there may be nothing to show."""
    if settings.telemetry.usage_days == 0:
        return "usage is not kept: telemetry.usageDays is 0"
    if books_of(settings) is None:
        return "this configuration keeps no usage: store.url names no store"
    days = settings.telemetry.usage_days
    return f"nothing was used in the last {since}; usage is kept for {days} days"
