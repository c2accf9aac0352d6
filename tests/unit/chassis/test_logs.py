"""Lines are whole, secrets that slip into them are cut out, and many lines cost one write."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from services.chassis.logs import (
    CompactFormatter,
    ConsoleFormatter,
    JsonFormatter,
    LineHandler,
    log_all,
    redacted,
    set_up,
    vetted,
    word,
)

SECRETS = [
    "zrp_abcdefghijkl_" + "A1b2C3d4E5" * 4 + "xyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "0123456789abcdef0123456789abcdef.AbCdEfGhIjKlMnOp",
    "Bearer abcdefghijklmnop",
]


class Counting(io.StringIO):
    """A stream that counts how often it is written to."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


@pytest.fixture
def stream() -> Iterator[Counting]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = Counting()
    set_up("info", "json", out)
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)


def _record(message: str, **more: object) -> logging.LogRecord:
    record = logging.getLogger("zcode.test").makeRecord("zcode.test", logging.INFO, "", 0, message, (), None)
    for name, value in more.items():
        setattr(record, name, value)
    return record


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_cut_out(secret: str) -> None:
    assert secret not in redacted(f"before {secret} after")
    assert secret not in JsonFormatter().format(_record(f"key {secret}"))
    assert secret not in ConsoleFormatter().format(_record("x", fields={"model": secret}))
    assert secret not in (vetted(secret) or "")


def test_a_field_that_is_too_short_for_a_secret_stays() -> None:
    assert "glm-5.2" == vetted("glm-5.2")
    assert vetted(None) is None


def test_a_json_line_holds_the_fields_and_the_error() -> None:
    try:
        int("quoted prompt")
    except ValueError:
        record = _record("failed", exc_info=sys.exc_info(), fields={"status": 500})

    line = json.loads(JsonFormatter().format(record))

    assert ("failed", "info", 500, "ValueError") == (line["event"], line["level"], line["status"], line["error"])
    assert line["ts"].endswith("Z")
    assert "traceback" in line


def test_a_console_line_leaves_out_what_is_not_set() -> None:
    line = ConsoleFormatter().format(_record("request", fields={"status": 200, "code": None, "dropped": []}))

    assert line.endswith("request status=200 dropped=[]")


def test_lines_are_written_one_by_one_or_together(stream: Counting) -> None:
    log = logging.getLogger("zcode.test")
    log.info("one")
    assert 1 == stream.writes
    log_all(log, "more", [(1763838000.25, {"status": 200}), (1763838001.5, {"status": 404})])

    assert 2 == stream.writes
    one, *more = (json.loads(line) for line in stream.getvalue().splitlines())
    assert "one" == one["event"]
    said = {"level": "info", "logger": "zcode.test", "event": "more"}
    assert [
        said | {"ts": "2025-11-22T19:00:00.250Z", "status": 200},
        said | {"ts": "2025-11-22T19:00:01.500Z", "status": 404},
    ] == more


def test_what_is_said_together_reaches_other_handlers_line_by_line(
    stream: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger().addHandler(caplog.handler)
    log_all(logging.getLogger("zcode.test"), "more", [(1.0, {"status": 200}), (2.0, {"status": 404})])

    assert [(1.0, {"status": 200}), (2.0, {"status": 404})] == [
        (record.created, record.__dict__["fields"]) for record in caplog.records
    ]
    assert 1 == stream.writes


def test_people_get_their_lines_as_well() -> None:
    out = Counting()
    handler = LineHandler(out)
    handler.setFormatter(ConsoleFormatter())
    log = logging.Logger("zcode.test")  # noqa: LOG001  # with no handlers but its own
    log.addHandler(handler)
    log_all(log, "request", [(1.0, {"status": 200})])

    assert out.getvalue().endswith("request status=200\n")


def test_lines_that_cannot_be_written_do_not_raise(stream: Counting, capsys: pytest.CaptureFixture[str]) -> None:
    log_all(logging.getLogger("zcode.test"), "more", [(1.0, {"status": object()})])

    assert "" == stream.getvalue()
    assert "Logging error" in capsys.readouterr().err


def test_nothing_said_is_nothing_written(stream: Counting) -> None:
    log_all(logging.getLogger("zcode.test"), "more", [])

    assert 0 == stream.writes


def test_a_record_that_cannot_be_written_does_not_raise(capsys: pytest.CaptureFixture[str]) -> None:
    out = Counting()
    record = logging.getLogger("zcode.test").makeRecord("x", logging.INFO, "", 0, "%d", ("not a number",), None)

    LineHandler(out).handle(record)

    assert "" == out.getvalue()
    assert "not a number" in capsys.readouterr().err


def test_libraries_that_log_per_request_are_quiet(stream: Counting) -> None:
    logging.getLogger("httpx2").info("a line per request")

    assert "" == stream.getvalue()


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (None, None),
        ("1302", "1302"),
        ("rate_limit_error", "rate_limit_error"),
        ("", "[not a code]"),
        ("1210, because you said hello", "[not a code]"),
        ("x" * 25, "[not a code]"),
        ("1302\n", "[not a code]"),
    ],
)
def test_a_code_is_a_short_word_or_not_shown(code: str | None, shown: str | None) -> None:
    assert shown == word(code)


def _request(**more: object) -> logging.LogRecord:
    fields = {"status": 200, "route": "/v1/messages", "model": "glm-5.2", "total_ms": 1240.0, "key_id": "laptop"}
    return _record("request", fields=fields | {"request_id": "4f1c"} | more)


def test_a_request_is_one_short_line_for_who_watches() -> None:
    line = CompactFormatter().format(
        _request(first_byte_ms=410.0, input_tokens=120, cached_tokens=20, output_tokens=300, attempts=2)
    )

    assert line[8:] == " 200 /v1/messages glm-5.2 1.24s (first 0.41s) in 120+20 out 300 2 tries [laptop] 4f1c"


def test_a_short_line_says_why_it_failed() -> None:
    failed = CompactFormatter().format(_request(status=429, code="rate_limited", upstream_code="1302"))
    assert failed[8:] == " 429 /v1/messages glm-5.2 rate_limited 1302 1.24s [laptop] 4f1c"

    left = CompactFormatter().format(_request(status=499, cancelled=True, model=""))
    assert left[8:] == " 499 /v1/messages - client left 1.24s [laptop] 4f1c"


def test_what_is_no_request_is_as_on_the_console() -> None:
    record = _record("draining", fields={"a": 1})

    assert ConsoleFormatter().format(record) == CompactFormatter().format(record)


@pytest.mark.parametrize(("level", "heard"), [("trace", 3), ("debug", 3), ("warn", 1), ("fatal", 0), ("silent", 0)])
def test_every_word_for_a_level_is_understood(level: str, heard: int, stream: Counting) -> None:
    set_up(level, "json", stream)
    log = logging.getLogger("zcode.test")
    log.debug("one")
    log.info("two")
    log.error("three")

    assert heard == stream.writes
