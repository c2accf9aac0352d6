"""
Which upstream route serves a call: a table built once from settings, then a look-up (upstream.md section 1).

Pure. No request field, header or query can name a host: origins come from settings only.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.gateway.upstream.transport import Origin
from services.gateway.wire.formats import ANTHROPIC, OPENAI, RESPONSES, WireFormat


class Plan(StrEnum):
    """What the account has; the value is the spelling of the configuration."""

    CODING = "coding-plan"
    START = "start-plan"


CODING: Final = Plan.CODING  # for the data path, see wire.formats


class UpstreamFormat(StrEnum):
    """Which format a plan's upstream is spoken to in."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    NATIVE = "native"  # the client's own format: no translation
    AUTO = "auto"  # start-plan: the seed's table, with a memory of which route answered


class UpstreamRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One address of the upstream and how it is spoken to."""

    provider: str
    plan: Plan
    format: WireFormat
    origin: Origin
    path: bytes
    auth_header: bytes
    auth_prefix: bytes
    fixed_headers: tuple[tuple[bytes, bytes], ...] = ()


Routes = Mapping[WireFormat, UpstreamRoute]  # by the upstream's format

SUFFIX: Final = {ANTHROPIC: "/v1/messages", OPENAI: "/chat/completions"}

_FIXED: Final = {UpstreamFormat.ANTHROPIC: ANTHROPIC, UpstreamFormat.OPENAI: OPENAI}

# The seed's table for the start plan: each dialect goes to the other's place on the coding plan.
_AUTO: Final = dict.fromkeys(WireFormat, OPENAI)


class InvalidBase(ValueError):
    """A configured base is no absolute http(s) URL."""


def address(base: str, suffix: str) -> tuple[Origin, bytes]:
    """Split `base + suffix` into where to connect and what to ask for; raises InvalidBase."""
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise InvalidBase(f"not an absolute http(s) URL without query, fragment and user: {base!r}")
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    path = parts.path.rstrip("/") + suffix
    return Origin(parts.scheme, parts.hostname, port), path.encode("ascii")


def upstream_format(setting: UpstreamFormat, client: WireFormat, working: WireFormat | None = None) -> WireFormat:
    """Return the format to speak upstream; `working` is what answered last on a route set to auto."""
    if setting is UpstreamFormat.AUTO:
        return working or _AUTO[client]
    fixed = _FIXED.get(setting)
    if fixed is not None:
        return fixed
    return OPENAI if client is RESPONSES else client  # no upstream speaks Responses itself


def select_route(
    routes: Routes, setting: UpstreamFormat, client: WireFormat, working: WireFormat | None = None
) -> UpstreamRoute:
    """Return the route for a call in the client's format; `working` as above."""
    return routes[upstream_format(setting, client, working)]
