"""One line per exchange, written in batches, with fields from an allow-list."""

import logging
import time
from typing import Any

import pytest
from msgspec.structs import asdict

from services.gateway.observation import Observation
from services.gateway.request_log import line_of, write_lines
from services.gateway.translation.streams.events import Usage


def _seen(**fields: Any) -> Observation:
    seen = Observation("POST", "/v1/messages", "id-1", 100.0)
    seen.ended_at = 100.25
    for name, value in fields.items():
        setattr(seen, name, value)
    return seen


def test_a_line_says_what_is_known() -> None:
    usage = Usage(input=1, cache_read=2, output=3)
    fields = asdict(
        line_of(_seen(status=200, first_byte_at=100.1234, overhead=0.00123, usage=usage, dropped=("seed",)))
    )

    assert {
        "request_id": "id-1",
        "method": "POST",
        "route": "/v1/messages",
        "status": 200,
        "input_tokens": 1,
        "cached_tokens": 2,
        "output_tokens": 3,
        "first_byte_ms": 123.4,
        "total_ms": 250.0,
        "overhead_ms": 1.23,
        "dropped": ["seed"],
        "cancelled": False,
    }.items() <= fields.items()


def test_what_is_not_known_is_null() -> None:
    fields = asdict(line_of(_seen()))

    assert {None} == {
        fields[name] for name in ("input_tokens", "output_tokens", "first_byte_ms", "overhead_ms", "code")
    }


def test_what_comes_from_outside_cannot_carry_a_secret() -> None:
    token = "eyJhbGciOiJub25lIn0." + "a" * 20 + ".sig"
    fields = asdict(line_of(_seen(model=token, upstream_code=token, upstream_request_id=token, dropped=(token,))))

    assert token not in str(fields)


def test_exchanges_are_written_line_by_line_with_the_time_of_their_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    ended = time.monotonic() - 5
    before = time.time()
    write_lines([_seen(status=200, ended_at=ended), _seen(status=404, ended_at=ended + 1)])

    assert [200, 404] == [record.__dict__["fields"]["status"] for record in caplog.records]
    assert {"request"} == {record.getMessage() for record in caplog.records}
    assert [before - 5, before - 4] == pytest.approx([record.created for record in caplog.records], abs=0.5)


def test_a_log_that_nobody_reads_is_not_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zcode.request")
    write_lines([_seen()])

    assert [] == caplog.records
