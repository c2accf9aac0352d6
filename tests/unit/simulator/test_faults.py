"""The upstream's errors and their shapes."""

import json

import pytest

from services.simulator import faults
from services.simulator.script import ErrorForm
from services.simulator.wire import Wire

# Every code that upstream.md section 7 names.
_NAMED = [
    *range(1000, 1006),
    *(1110, 1111, 1112, 1113, 1120, 1121, 1220, 1210, 1211, 1212, 1213, 1214, 1215, 1221, 1222),
    *(1200, 1230, 1234, 1261, 1300, 1301, 1302, 1303, 1304, 1305, 1308, 1309, 1310, 1311, 1312, 1313, 1314, 1315),
    *range(1316, 1322),
    *(3007, 3012),
]


@pytest.mark.parametrize("code", _NAMED)
def test_every_code_of_the_upstream_is_known(code: int) -> None:
    assert str(code) in faults.ERRORS


def test_no_balance_comes_as_429() -> None:
    assert faults.look_up("1113").status == 429


@pytest.mark.parametrize(("code", "status"), [("418", 418), ("599", 599), ("9999", 400), ("odd", 400)])
def test_an_unknown_code_is_a_status_or_a_400(code: str, status: int) -> None:
    assert faults.look_up(code).status == status


@pytest.mark.parametrize("code", ["1308", "1310", "1316", "1320"])
def test_a_limit_names_its_reset_in_the_upstreams_time(code: str) -> None:
    text = faults.message_of(faults.look_up(code), now=1_767_225_600.0, reset=3600.0)

    assert "2026-01-01 09:00:00" in text


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("openai", {"error": {"code": "1302", "message": "busy"}, "request_id": "r"}),
        ("number", {"error": {"code": 1302, "message": "busy"}, "request_id": "r"}),
        ("gateway", {"code": 1302, "msg": "busy"}),
        ("detail", {"detail": [{"type": "literal_error", "loc": ["body", "messages"], "msg": "busy"}]}),
        ("typed", {"error": {"message": "busy", "type": "1302"}, "request_id": "r"}),
        (
            "anthropic",
            {
                "type": "error",
                "error": {"type": "rate_limit_error", "code": "1302", "message": "[1302][busy]"},
                "request_id": "r",
            },
        ),
        (
            "prefix",
            {"type": "error", "error": {"type": "rate_limit_error", "message": "[1302][busy]"}, "request_id": "r"},
        ),
    ],
)
def test_the_shapes_of_an_error(form: ErrorForm, expected: object) -> None:
    assert json.loads(faults.body(form, Wire.OPENAI, "1302", 429, "busy", "r")) == expected


def test_the_default_shape_is_the_dialects() -> None:
    openai = faults.body("default", Wire.OPENAI, "1302", 429, "busy", "r")
    anthropic = faults.body("default", Wire.ANTHROPIC, "1302", 429, "busy", "r")

    assert openai == faults.body("openai", Wire.OPENAI, "1302", 429, "busy", "r")
    assert anthropic == faults.body("anthropic", Wire.OPENAI, "1302", 429, "busy", "r")
    unread = faults.body("default", Wire.ANTHROPIC, "422", 422, "role", "r")
    assert unread == faults.body("detail", Wire.ANTHROPIC, "422", 422, "role", "r")


def test_an_error_may_have_no_body() -> None:
    assert faults.body("empty", Wire.OPENAI, "401", 401, "x", "r") == b""


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (500, "api_error"), (529, "overloaded_error")]
)
def test_the_anthropic_type_follows_the_status(status: int, kind: str) -> None:
    shown = json.loads(faults.body("anthropic", Wire.ANTHROPIC, "x", status, "m", "r"))

    assert shown["error"]["type"] == kind
