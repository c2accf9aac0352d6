"""
The headers that tell the upstream who calls: one table, every value from settings (upstream.md section 3).

Values of the client's own request never enter here, except its session id, which is checked first.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

SESSION_HEADERS: Final = (b"x-session-id", b"x-claude-code-session-id", b"x-opencode-session")
CODEX_SESSION: Final = b"session-id"

INTERLEAVED_THINKING: Final = b"interleaved-thinking-2025-05-14"

# anthropic-beta values that change nothing but the model's behaviour; others make strict servers answer 400.
BETA_ALLOWED: Final = frozenset(
    {
        b"claude-code-20250219",
        b"context-1m-2025-08-07",
        b"context-management-2025-06-27",
        b"fine-grained-tool-streaming-2025-05-14",
        INTERLEAVED_THINKING,
        b"output-128k-2025-02-19",
        b"prompt-caching-2024-07-31",
        b"token-efficient-tools-2025-02-19",
    }
)

RANDOM_BITS: Final = 3 * 128
_FIXED: Final = 0x4 << 76 | 0x2 << 62  # version and variant of an id, RFC 9562
_VARYING: Final = (1 << 128) - 1 & ~(0xF << 76 | 0x3 << 62)
_ALL_FIXED: Final = _FIXED << 256 | _FIXED << 128 | _FIXED
_ALL_VARYING: Final = _VARYING << 256 | _VARYING << 128 | _VARYING

_PRINTABLE_ASCII: Final = re.compile(r"[\x20-\x7e]+")
_SESSION_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Platform(msgspec.Struct, frozen=True):
    """The machine in Node's spelling: `linux-x64`, `linux|macos|windows`, the kernel's release."""

    platform: str
    category: str
    release: str


class RequestIds(msgspec.Struct, frozen=True, gc=False):
    """Four UUIDv4, in bytes, for one request; the first is the one that the client is told."""

    request: bytes
    trace: bytes
    query: bytes
    session: bytes


def static_headers(
    app_version: str, source_title: str, referer_origin: str, platform: Platform
) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that are the same for every request; a value HTTP cannot carry leaves its header out."""
    table = (
        ("user-agent", f"ZCode/{app_version}"),
        ("x-title", f"Z Code@{source_title}"),
        ("http-referer", referer_origin),
        ("x-zcode-app-version", app_version),
        ("x-zcode-agent", "glm"),
        ("x-platform", platform.platform),
        ("x-os-category", platform.category),
        ("x-os-version", platform.release),
    )
    return tuple((name.encode(), value.encode()) for name, value in table if _PRINTABLE_ASCII.fullmatch(value))


def request_headers(ids: RequestIds, *, coding_plan: bool, session: bytes | None) -> list[tuple[bytes, bytes]]:
    """Return the headers that differ per request; `session` is the client's own id, already checked."""
    headers = [(b"x-request-id", ids.request), (b"x-zcode-trace-id", ids.trace)]
    if coding_plan:
        headers.append((b"x-query-id", ids.query))
        headers.append((b"x-session-id", session or ids.session))
    return headers


def client_session(headers: Mapping[bytes, bytes], names: tuple[bytes, ...] = SESSION_HEADERS) -> bytes | None:
    """Return the client's session id if it sent a well-formed one, under one of `names`."""
    for name in names:
        value = headers.get(name)
        if value is not None and _SESSION_ID.fullmatch(value):
            return value
    return None


def allowed_beta(value: bytes | None) -> bytes | None:
    """Return the values of `anthropic-beta` that may travel, or None when none is left."""
    if value is None:
        return None
    kept = [item for raw in value.split(b",") if (item := raw.strip()) in BETA_ALLOWED]
    return b",".join(kept) or None


def uuid4_of(random: int) -> str:
    """Spell 128 random bits as a UUIDv4; uuid.uuid4 costs five times as much."""
    digits = (random & _VARYING | _FIXED).to_bytes(16, "big").hex("-", 2)
    return digits[:4] + digits[5:29] + digits[30:34] + digits[35:]


def ids_from(request: bytes, random: int) -> RequestIds:
    """Cut RANDOM_BITS random bits into the ids of one request that it does not have yet."""
    d = (random & _ALL_VARYING | _ALL_FIXED).to_bytes(48, "big").hex("-", 2).encode()
    return RequestIds(
        request,
        d[:4] + d[5:29] + d[30:34] + d[35:39],
        d[40:44] + d[45:69] + d[70:74] + d[75:79],
        d[80:84] + d[85:109] + d[110:114] + d[115:],
    )
