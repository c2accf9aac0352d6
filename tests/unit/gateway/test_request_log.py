"""One line per exchange, written in batches, with fields from an allow-list."""

import asyncio
import logging
from typing import Any

import pytest
from msgspec.structs import asdict

from services.gateway.observation import Observation
from services.gateway.request_log import RequestLog, line_of
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


async def test_lines_wait_a_moment_and_come_together(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    log = RequestLog()
    log.observe(_seen(status=200))
    log.observe(_seen(status=404))
    assert [] == caplog.records

    async with asyncio.timeout(5):
        while len(caplog.records) < 2:  # a timer of the log's own
            await asyncio.sleep(0.01)

    assert [200, 404] == [record.__dict__["fields"]["status"] for record in caplog.records]
    assert {"request"} == {record.getMessage() for record in caplog.records}


async def test_what_waits_is_written_at_the_end_and_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    log = RequestLog()
    log.observe(_seen())
    log.flush()
    log.flush()

    assert 1 == len(caplog.records)


async def test_a_log_that_nobody_reads_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "zcode.request")
    log = RequestLog()
    log.observe(_seen())

    assert [] == log._waiting
    log.flush()
    assert [] == caplog.records


async def test_a_crowd_of_lines_does_not_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    log = RequestLog()
    for _ in range(128):
        log.observe(_seen())
    await asyncio.sleep(0)

    assert 128 == len(caplog.records)
