"""
Errors of either side: any upstream's error body read into a `Fault`, a `Fault` written in the client's dialect.

Reading knows every shape of upstream.md section 7: OpenAI's, Anthropic's with a code, `[1310][…]` as a prefix of the
message, a code in `type`, the gateway's `{"code":3007,"msg":…}`, each also under HTTP 200 or in a stream, with codes as
numbers or strings; besides HTML, plain text and nothing at all. The code decides, then the status, then the dialect's
own word for the error; the wording decides nothing but which of two things 3012 means.
"""

import math
import re
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from services.gateway.translation import error_table
from services.gateway.translation.error_table import Row, Wait
from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.reset_time import next_day_delay, reset_delay
from services.gateway.translation.responses_faults import for_responses
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.mend import BROKEN

Headers = Sequence[tuple[bytes, bytes]]

_LONGEST_TEXT: Final = 2000  # characters of an upstream's message that are shown
_LONGEST_PAGE: Final = 200  # characters of a page that are shown
_LARGEST_ERROR: Final = 64 * 1024  # bytes; no upstream's error is larger, an answer may be
_PAGE_STATUSES: Final = frozenset({413, 429, 503, 504, 529})  # these mean the same from a CDN as from the API
_CAPTCHA_HEADER: Final = b"x-aliyun-captcha-verify-param"

_PREFIX: Final = re.compile(r"\s*\[(\d{3,5})\]\s*")
_BRACKETED: Final = re.compile(r"\[([^\]]*)\]")
_UNSEEN: Final = re.compile(r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>?")


class _Parts(msgspec.Struct, frozen=True):
    """What an error body says: its numeric code, the first word in a code's or type's place, and its text."""

    number: int | None
    word: str | None
    text: str


class _Suspect(msgspec.Struct, gc=False):
    """The few fields that tell an error from an answer."""

    error: msgspec.Raw = msgspec.Raw(b"")
    code: int | float | str | None = None
    success: bool | None = None
    choices: msgspec.Raw = msgspec.Raw(b"")
    content: msgspec.Raw = msgspec.Raw(b"")


def looks_like_error(body: bytes) -> bool:
    """Tell whether a body under HTTP 200 is an error, a web page or nothing; cheap for real answers."""
    start = body[:16].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start or start[:1] == b"<":
        return len(start) > 0 or not body.strip()
    named = b'"error"' in body or b'"code"' in body or b'"success"' in body
    if not named or len(body) > _LARGEST_ERROR:
        return False
    try:
        found = msgspec.json.decode(body, type=_Suspect)
    except BROKEN:
        return False
    if bytes(found.error) not in {b"", b"null"}:
        return True
    if bytes(found.choices) or bytes(found.content):
        return False
    return found.success is False or found.code not in {None, 0, 200, "0", "200", ""}


def read_fault(
    status: int, body: bytes, *, now: float | None = None, headers: Headers = (), start_plan: bool = False
) -> Fault:
    """
    Classify an upstream's error.

    `status` is the HTTP status, 200 for an error that came under 200 or in a stream. `now` (seconds since the epoch)
    is needed to turn a reset time into `retry_after`. `headers` are the answer's, with names in lower case.
    """
    header = dict(headers)
    parts = _read_body(body)
    row = _row(parts, status, body, header, start_plan=start_plan)
    if row is not None:
        return _from_row(row, parts or _Parts(None, None, ""), status, now, header)
    if 300 <= status < 400 or parts is None:
        return _from_page(status, body, now, header)
    return _from_status(_status_of(parts, status), parts, status, _delay(now, header), header)


def _row(parts: _Parts | None, status: int, body: bytes, header: dict[bytes, bytes], *, start_plan: bool) -> Row | None:
    if header.get(_CAPTCHA_HEADER):
        return error_table.ROW_BY_CODE[3007]
    if start_plan and status == 401 and not body.strip():
        return error_table.START_PLAN_JWT_INVALID
    if parts is None or parts.number is None:
        return None
    if parts.number == 3012:
        missing = "method not allowed" in parts.text.lower()
        return error_table.SYSTEM_BLOCKS_MISSING if missing else error_table.RISK_CONTROL
    return error_table.ROW_BY_CODE.get(parts.number)


def _read_body(body: bytes) -> _Parts | None:
    """Return what an error body says; None for anything but a JSON object."""
    try:
        whole = msgspec.json.decode(body)
    except BROKEN:
        return None
    if not isinstance(whole, dict):
        return None
    inner = whole.get("error")
    places = [inner, whole] if isinstance(inner, dict) else [whole]
    texts = [place.get(key) for place in places for key in ("message", "msg", "detail")]
    said = [*texts, inner, _said_of_fields(whole.get("detail"))]
    text = next((text for text in said if isinstance(text, str) and text), "")
    codes = [place.get(key) for place in places for key in ("code", "type")]
    numbers = [number for number in map(_number, [*codes, _prefix(text)]) if number is not None]
    # A row of the table wins over a bare status such as {"code": 429, "type": "1302"}.
    known = [number for number in numbers if number in error_table.ROW_BY_CODE or number == 3012]
    words = [code for code in codes if isinstance(code, str) and _number(code) is None and code != "error"]
    return _Parts(next(iter(known + numbers), None), next(iter(words), None), text)


def _said_of_fields(detail: object) -> str:
    """
    Return what Z.AI's Anthropic endpoint says of a body that it does not take: a place and a message for each fault.

    What stands at the place is repeated there as well, and is nobody's business.
    """
    told = []
    for fault in detail if isinstance(detail, list) else ():
        text = fault.get("msg") if isinstance(fault, dict) else None
        if isinstance(text, str):
            place = fault.get("loc")
            path = ".".join(map(str, place[1:])) if isinstance(place, list) else ""
            told.append(f"{path}: {text}" if path else text)
    return "; ".join(told)


def _number(code: object) -> int | None:
    if isinstance(code, str) and code.strip().isdecimal() and len(code) < 8:
        return int(code)
    if isinstance(code, (int, float)) and not isinstance(code, bool) and code == code // 1:
        return int(code)
    return None


def _prefix(text: str) -> str | None:
    found = _PREFIX.match(text)
    return found[1] if found else None


def _plain(text: str) -> str:
    """Return a message without its `[1310]` prefix and the brackets around what follows it."""
    found = _PREFIX.match(text)
    if found is not None:
        rest = text[found.end() :]
        inner = _BRACKETED.match(rest)
        text = inner[1] if inner else rest
    return text.strip()[:_LONGEST_TEXT]


def _wish(meant: int, header: dict[bytes, bytes]) -> bool | None:
    """Return whether the client is to try again, if that is known: Claude Code tries a refused key for minutes."""
    wish = header.get(b"x-should-retry")
    if wish is None:
        return False if meant == 401 else None
    return wish == b"true"


def _status_of(parts: _Parts, status: int) -> int:
    """Return the status that an error stands for when it has no row of its own."""
    if status >= 400:
        return status
    if parts.number is not None and 400 <= parts.number <= 599:
        return parts.number
    return error_table.STATUS_BY_WORD.get(parts.word or "", 502)


def _from_row(row: Row, parts: _Parts, status: int, now: float | None, header: dict[bytes, bytes]) -> Fault:
    text = _plain(parts.text)
    if row.lead and row.lead not in text.lower():
        text = f"{row.lead}: {text}".removesuffix(": ")
    said = f"{text if not text or text.endswith(('.', '。', '!')) else text + '.'} {row.hint}".strip()
    number = next(iter(row.codes), None) if parts.number is None else parts.number
    code = f" (upstream code {number})" if number is not None else ""
    delay = _delay(now, header)
    if now is not None and row.wait is not Wait.NONE:
        delay = next_day_delay(now) if row.wait is Wait.NEXT_DAY else (reset_delay(parts.text, now) or delay)
    return Fault(
        status=status if row.keeps_status and 400 <= status < 500 else row.status,
        anthropic_status=row.anthropic_status,
        message=said + code,
        code=row.code,
        openai_type=row.openai_type,
        retry_after=delay,
        resets_at=None if now is None or delay is None else now + delay,
        should_retry=row.should_retry,
        upstream_status=status,
        upstream_code=None if number is None else str(number),
        action=row.action,
    )


def _from_page(status: int, body: bytes, now: float | None, header: dict[bytes, bytes]) -> Fault:
    """Describe what is no JSON object: a page of a CDN, plain text, a redirect, nothing."""
    source = body[:_LARGEST_ERROR].decode("utf-8", "replace")
    text = " ".join(_TAG.sub(" ", _UNSEEN.sub(" ", source)).split())[:_LONGEST_PAGE]
    is_page = source.lstrip("\ufeff \t\r\n").startswith("<") or 300 <= status < 400
    what = "a redirect or web page instead of JSON" if is_page else "no JSON" if text else "an empty body"
    meant = 502 if is_page and status not in _PAGE_STATUSES else status
    message = f"The upstream answered HTTP {status} with {what}" + (f": {text}" if text else ".")
    return _from_status(meant, _Parts(None, None, message), status, _delay(now, header), header)


def _from_status(meant: int, parts: _Parts, status: int, delay: float | None, header: dict[bytes, bytes]) -> Fault:
    """Describe an error by its status alone. `meant` is the status it stands for, `status` the one it came with."""
    default = Action.RETRY if meant >= 500 or meant < 400 else Action.PASS
    if meant < 400 or (meant >= 500 and meant not in {503, 504, 529}):
        meant = 502
    unpaid = meant == 402
    upstream_code = parts.word if parts.number is None else str(parts.number)
    return Fault(
        status={402: 429, 529: 503}.get(meant, meant),
        anthropic_status=meant if meant in {402, 529} else None,
        message=_plain(parts.text) or f"The upstream answered HTTP {status} and gave no reason.",
        code="insufficient_quota" if unpaid else parts.word if parts.word in _KEPT_WORDS else None,
        openai_type="insufficient_quota" if unpaid else None,
        retry_after=delay,
        should_retry=False if unpaid else _wish(meant, header),
        upstream_status=status,
        upstream_code=upstream_code,
        action=error_table.ACTION_BY_STATUS.get(meant, default),
    )


_KEPT_WORDS: Final = frozenset({"context_length_exceeded", "content_filter", "insufficient_quota", "model_not_found"})
"""Codes that agents act upon, kept as an OpenAI upstream sent them."""


_LONGEST_DELAY: Final = 366 * 86_400.0  # seconds; digits enough are an infinity, which cannot be written down


def _delay(now: float | None, header: dict[bytes, bytes]) -> float | None:
    """Return the seconds of `retry-after-ms` or `retry-after`, the latter also as a date."""
    for name, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        value = header.get(name, b"").decode("latin-1").strip()
        if value.replace(".", "", 1).isdecimal() and value.isascii():
            return min(float(value) / unit, _LONGEST_DELAY)
    try:
        at = parsedate_to_datetime(header.get(b"retry-after", b"").decode("latin-1"))
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)  # `-0000` reads as a time without a zone
    return None if now is None else min(max(at.timestamp() - now, 0.0), _LONGEST_DELAY)


def error_body(fmt: WireFormat, fault: Fault, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of an answer that is an error, in the client's dialect (translation.md A13)."""
    if fmt is WireFormat.RESPONSES:
        fault = for_responses(fault)
    status = client_status(fmt, fault)
    ident = request_id.encode("latin-1", "replace")
    headers = [(b"content-type", b"application/json"), (b"request-id", ident), (b"x-request-id", ident)]
    if fault.retry_after is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(fault.retry_after)))
    if fault.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if fault.should_retry else b"false"))
    if fault.upstream_status is not None:
        headers.append((b"x-zcode-upstream-status", b"%d" % fault.upstream_status))
    if fault.upstream_code is not None:
        word = "".join(letter for letter in fault.upstream_code[:64] if letter.isprintable())
        headers.append((b"x-zcode-upstream-code", word.encode("ascii", "replace")))
    return status, headers, msgspec.json.encode(_envelope(fmt, fault, request_id))


def error_event(fmt: WireFormat, fault: Fault, request_id: str) -> bytes:
    """Return what ends a stream with an error (A13.4); nothing follows it, no `[DONE]` either."""
    if fmt is WireFormat.RESPONSES:
        return responses_error_event(fault, 0) + _failed_response(fault, request_id)
    body = msgspec.json.encode(_envelope(fmt, fault, request_id))
    return (b"event: error\ndata: " if fmt is WireFormat.ANTHROPIC else b"data: ") + body + b"\n\n"


def client_status(fmt: WireFormat, fault: Fault) -> int:
    """Return the HTTP status that a client of this dialect sees; 402 and 529 are unknown to OpenAI's clients."""
    if fmt is WireFormat.ANTHROPIC:
        return fault.anthropic_status or fault.status
    return {402: 429, 529: 503}.get(fault.status, fault.status)


def _envelope(fmt: WireFormat, fault: Fault, request_id: str) -> dict[str, object]:
    types = error_table.types_of(client_status(fmt, fault))
    if fmt is WireFormat.ANTHROPIC:
        error: dict[str, object] = {"type": fault.anthropic_type or types.anthropic, "message": fault.message}
        return {"type": "error", "error": error, "request_id": request_id}
    body: dict[str, object] = {
        "message": fault.message,
        "type": fault.openai_type or types.openai,
        "param": fault.param,
        "code": fault.code or types.openai_code,
    }
    if fmt is WireFormat.RESPONSES and fault.resets_at is not None:
        body["resets_at"] = int(fault.resets_at)
    return {"error": body}


def responses_error_event(fault: Fault, number: int) -> bytes:
    """Return the `error` event of a Responses stream: flat, as its schema has it, and nested, as SDKs look for it."""
    fault = for_responses(fault)
    error = _envelope(WireFormat.RESPONSES, fault, "")["error"]
    body = {"type": "error", "sequence_number": number, **response_error(fault), "param": fault.param, "error": error}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(body)


def response_error(fault: Fault) -> dict[str, object]:
    """Return the `error` of a response that failed; it always has a code, which agents act upon."""
    fault = for_responses(fault)
    types = error_table.types_of(client_status(WireFormat.RESPONSES, fault))
    return {"code": fault.code or types.openai_code or "server_error", "message": fault.message}


def _failed_response(fault: Fault, request_id: str) -> bytes:
    """Return the last event of a stream that failed before the answer had begun."""
    response: dict[str, object] = {
        "id": f"resp_{request_id}",
        "object": "response",
        "status": "failed",
        "error": response_error(fault),
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }
    body = {"type": "response.failed", "sequence_number": 1, "response": response}
    return b"event: response.failed\ndata: %b\n\n" % msgspec.json.encode(body)
