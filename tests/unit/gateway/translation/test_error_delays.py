"""How long an upstream's error asks to wait, and until when its plan is used up."""

import msgspec
import pytest

from services.gateway.translation.errors import error_body, read_fault
from services.gateway.translation.fault import Action
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import OPENAI
from tests.support.upstream_errors import NOW, encode


def test_a_window_limit_cools_until_the_time_in_the_text() -> None:
    body = '{"error":{"code":"1308","message":"已达到 5 小时的使用上限。您的限额将在 2026-01-28 16:00:00 重置。"}}'.encode()

    fault = read_fault(429, body, now=NOW)
    assert (fault.retry_after, fault.action) == (3600.0, Action.COOL_CREDENTIAL)
    headers = dict(error_body(OPENAI, fault, "r")[1])
    assert (headers[b"retry-after"], headers[b"x-should-retry"]) == (b"3600", b"false")
    assert read_fault(429, body).retry_after is None


def test_a_limit_without_a_time_falls_back_on_the_header() -> None:
    body = b'{"error":{"code":"1310","message":"Weekly limit"}}'

    assert read_fault(429, body, now=NOW, headers=[(b"retry-after", b"90")]).retry_after == 90.0
    assert read_fault(429, body, now=NOW).retry_after is None


def test_the_daily_cap_cools_until_midnight_in_china() -> None:
    assert read_fault(429, b'{"error":{"code":"1304","message":"cap"}}', now=NOW).retry_after == 9 * 3600.0


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ([(b"retry-after", b"3")], 3.0),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after-ms", b"250")], 0.25),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"3")], 0.25),
        ([(b"retry-after", b"Wed, 28 Jan 2026 07:01:00 GMT")], 60.0),
        ([(b"retry-after", b"Wed, 28 Jan 2026 07:01:00 -0000")], 60.0),
        ([(b"retry-after", b"Wed, 28 Jan 2026 06:00:00 GMT")], 0.0),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"9" * 400)], 366 * 86_400.0),
        ([(b"retry-after-ms", b"9" * 400)], 366 * 86_400.0),
        ([(b"retry-after", b"Fri, 31 Dec 9999 23:59:59 GMT")], 366 * 86_400.0),
        ([], None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: list[tuple[bytes, bytes]], delay: float | None) -> None:
    fault = read_fault(429, b"{}", now=NOW, headers=headers)

    assert fault.retry_after == delay
    assert error_body(OPENAI, fault, "r")[0] == 429


def test_a_date_needs_the_time() -> None:
    assert read_fault(429, b"{}", headers=[(b"retry-after", b"Wed, 28 Jan 2026 07:01:00 GMT")]).retry_after is None


def test_a_responses_client_is_told_when_a_used_up_plan_is_whole_again() -> None:
    used_up = encode({"error": {"code": "1308", "message": "used up"}})
    fault = read_fault(429, used_up, now=NOW, headers=[(b"retry-after", b"90")])
    error = msgspec.json.decode(error_body(WireFormat.RESPONSES, fault, "r")[2])["error"]

    assert (error["type"], error["resets_at"]) == ("usage_limit_reached", int(NOW) + 90)
    assert "resets_at" not in msgspec.json.decode(error_body(OPENAI, fault, "r")[2])["error"]
    assert read_fault(429, used_up, headers=[(b"retry-after", b"90")]).resets_at is None
