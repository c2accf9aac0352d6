"""
Every failure as a client meets it: status, type, code and headers in its own dialect, in time.

What is expected of each upstream code is written down here from upstream.md section 7, not taken from the code's table.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from services.chassis.secret import Secret
from services.gateway.wire.formats import WireFormat
from services.simulator.faults import ERRORS
from services.simulator.script import Script
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, Shown, client_of, error_in, error_of, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.reading import events_of
from tests.support.responses_validator import check_responses_stream


class _Row:
    """What both clients see of one upstream code."""

    def __init__(
        self,
        openai: tuple[int, str, str | None],
        anthropic: tuple[int, str],
        *,
        retry: str | None = None,
        within: tuple[int, int] | None = None,
        says: str = "",
        responses: tuple[int, str, str | None] | None = None,
        soon: bool = False,
    ) -> None:
        self.openai = openai
        self.anthropic = anthropic
        self.responses = responses or openai
        self.soon = soon  # a Responses client is told to come back, where others decide for themselves
        self.retry = retry  # x-should-retry
        self.within = within  # seconds of retry-after
        self.says = says


_BAD = "invalid_request_error"
_SERVER = "server_error"
_RESET = (7000, 7200)
_DAY = (1, 86_400)

_AUTH = _Row((401, _BAD, "invalid_api_key"), (401, "authentication_error"), retry="false", says="API key")
_ACCOUNT = _Row((403, _BAD, "permission_denied"), (403, "permission_error"), says="provider's site")
_QUOTA = (429, "insufficient_quota", "insufficient_quota")
_BROKE = _Row(_QUOTA, (402, "billing_error"), retry="false", says="wrong endpoint")
_PARAMETER = _Row((400, _BAD, None), (400, _BAD))
_NO_MODEL = _Row((404, _BAD, "model_not_found"), (404, "not_found_error"), says="/v1/models")
_TROUBLE = _Row((502, _SERVER, None), (502, "api_error"))
_TOO_LONG = _Row((400, _BAD, "context_length_exceeded"), (400, _BAD), says="prompt is too long")
_FILTER = _Row((400, _BAD, "content_filter"), (400, _BAD))
_LIMIT = (429, "rate_limit_error", "rate_limit_exceeded")
_USED_UP = (429, "usage_limit_reached", "rate_limit_exceeded")
_BUSY = _Row(_LIMIT, (429, "rate_limit_error"), soon=True)
_DAILY = _Row(_LIMIT, (429, "rate_limit_error"), retry="false", within=_DAY, responses=_USED_UP)
_OVERLOADED = _Row(
    (503, _SERVER, None),
    (529, "overloaded_error"),
    says="verloaded",
    responses=(503, _SERVER, "server_is_overloaded"),
)
_WINDOW = _Row(_LIMIT, (429, "rate_limit_error"), retry="false", within=_RESET, responses=_USED_UP)
_EXPIRED = _Row(_QUOTA, (429, "rate_limit_error"), retry="false", says="renew")
_NOT_IN_PLAN = _Row(
    (429, "rate_limit_error", "model_not_in_plan"),
    (429, "rate_limit_error"),
    retry="false",
    responses=(400, _BAD, "model_not_in_plan"),
)
_FAIR_USE = _Row(
    (429, "rate_limit_error", "fair_use_restriction"),
    (429, "rate_limit_error"),
    retry="false",
    responses=(400, _BAD, "fair_use_restriction"),
)
_CAPTCHA = _Row((403, _BAD, "captcha_required"), (403, "permission_error"), retry="false", says="captcha")
_BLOCKS = _Row((405, _BAD, "system_blocks_missing"), (405, _BAD), retry="false", says="startPlan.systemBlocks")
_GATEWAY_TIMEOUT = _Row((504, _SERVER, "timeout"), (504, "timeout_error"))

_EXPECTED: dict[str, _Row] = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004", "1005"), _AUTH),
    **dict.fromkeys(("1110", "1111", "1112", "1120", "1121", "1220"), _ACCOUNT),
    "1113": _BROKE,
    **dict.fromkeys(("1200", "1230", "1234"), _TROUBLE),
    **dict.fromkeys(("1210", "1212", "1213", "1214", "1215"), _PARAMETER),
    **dict.fromkeys(("1211", "1221", "1222"), _NO_MODEL),
    "1261": _TOO_LONG,
    **dict.fromkeys(("1300", "1301"), _FILTER),
    **dict.fromkeys(("1302", "1303"), _BUSY),
    "1304": _DAILY,
    **dict.fromkeys(("1305", "1312"), _OVERLOADED),
    **dict.fromkeys(("1308", "1310", "1316", "1317", "1318", "1319", "1320", "1321"), _WINDOW),
    **dict.fromkeys(("1309", "1314"), _EXPIRED),
    "1311": _NOT_IN_PLAN,
    **dict.fromkeys(("1313", "1315"), _FAIR_USE),
    "3007": _CAPTCHA,
    "3012": _BLOCKS,
    "500": _TROUBLE,
    "502": _TROUBLE,
    "503": _Row((503, _SERVER, None), (503, "api_error")),
    "504": _GATEWAY_TIMEOUT,
    "529": _OVERLOADED,
}

# place of the error, whether the client asked for a stream
_PLACES = (("status", False), ("status", True), ("ok", False), ("ok", True), ("first", True))


def test_every_code_that_the_simulator_knows_is_expected_here() -> None:
    assert set(ERRORS) == set(_EXPECTED)


@pytest.fixture(scope="module")
async def to_anthropic() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="anthropic", limits={"retries": 0}) as running:
        yield running


@pytest.fixture(scope="module")
async def to_openai() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="openai", limits={"retries": 0}) as running:
        yield running


def _check(row: _Row, dialect: WireFormat, answer: httpx2.Response, code: str) -> Shown:
    shown = error_in(dialect, answer)
    if dialect is ANTHROPIC:
        assert row.anthropic == (answer.status_code, shown.type)
    else:
        expected = row.responses if dialect is RESPONSES else row.openai
        assert expected == (answer.status_code, shown.type, shown.code)
    assert row.says in shown.message
    assert row.retry == answer.headers.get("x-should-retry")
    wait = answer.headers.get("retry-after")
    if dialect is RESPONSES:
        assert (row.within is not None) == (shown.resets_at is not None)
        assert shown.resets_at is None or abs(shown.resets_at - time.time() - int(wait or 0)) < 5
        if row.soon:
            assert "5" == wait
            wait = None
    assert (row.within is None) == (wait is None)
    if row.within is not None:
        assert row.within[0] <= int(wait or 0) <= row.within[1]
    assert code == answer.headers["x-zcode-upstream-code"]
    return shown


@pytest.mark.parametrize("code", list(_EXPECTED))
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_every_upstream_code_wherever_it_comes(
    to_anthropic: RunningGateway, to_openai: RunningGateway, dialect: WireFormat, code: str
) -> None:
    for gateway in (to_anthropic, to_openai):
        async with client_of(gateway) as client:
            for place, stream in _PLACES:
                asked = small(dialect, f"sim:error={code};at={place}", stream=stream)
                answer = await client.post(PATH[dialect], json=asked)

                _check(_EXPECTED[code], dialect, answer, code)
                carried = ERRORS[code].status if place == "status" else 200
                assert str(carried) == answer.headers["x-zcode-upstream-status"]


@pytest.mark.parametrize("form", ["openai", "anthropic", "gateway", "typed", "number", "prefix"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_every_shape_of_an_error_is_read(
    to_anthropic: RunningGateway, to_openai: RunningGateway, dialect: WireFormat, form: str
) -> None:
    for gateway in (to_anthropic, to_openai):
        async with client_of(gateway) as client:
            for place, stream in _PLACES:
                asked = small(dialect, f"sim:error=1310;at={place};error-form={form}", stream=stream)
                answer = await client.post(PATH[dialect], json=asked)

                _check(_EXPECTED["1310"], dialect, answer, "1310")


async def test_3012_with_any_other_text_is_risk_control(to_anthropic: RunningGateway) -> None:
    async with client_of(to_anthropic) as client:
        asked = small(OPENAI, "sim:error=3012;message=unusual%20activity")
        answer = await client.post(PATH[OPENAI], json=asked)

    assert (405, "account_under_risk_control") == (answer.status_code, error_in(OPENAI, answer).code)
    assert "false" == answer.headers["x-should-retry"]


@pytest.mark.parametrize(
    ("script", "statuses"),
    [
        ("answer=html", (502, 502)),
        ("answer=html;status=200", (502, 502)),
        ("answer=html;status=503", (503, 503)),
        ("answer=html;status=429", (429, 429)),
        ("answer=redirect", (502, 502)),
        ("answer=empty", (502, 502)),
        ("answer=garbage", (502, 502)),
        ("status=204;answer=empty", (502, 502)),
        ("error=401;error-form=empty", (401, 401)),
        ("error=429;error-form=empty", (429, 429)),
        ("framing=both", (502, 502)),
        ("framing=bad-status", (502, 502)),
        ("framing=two-lengths", (502, 502)),
        ("bomb=headers", (502, 502)),
        ("cut-raw=30", (502, 502)),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_no_answer_is_never_shown_as_success(
    to_anthropic: RunningGateway, to_openai: RunningGateway, script: str, statuses: tuple[int, int], stream: bool
) -> None:
    for gateway in (to_anthropic, to_openai):
        async with client_of(gateway) as client:
            for dialect, status in zip((OPENAI, ANTHROPIC), statuses, strict=True):
                answer = await client.post(PATH[dialect], json=small(dialect, f"sim:{script}", stream=stream))

                shown = error_in(dialect, answer)
                assert status == answer.status_code
                assert "<" not in shown.message


async def test_a_redirect_is_not_followed(to_anthropic: RunningGateway) -> None:
    to_anthropic.simulator.records.reset()
    async with client_of(to_anthropic) as client:
        await client.post(PATH[OPENAI], json=small(OPENAI, "sim:answer=redirect"))

    assert 1 == len(to_anthropic.upstream_requests)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "wrong"}, {"authorization": "Bearer wrong"}, {"x-api-key": ""}])
async def test_a_missing_or_wrong_key_is_a_401(dialect: WireFormat, headers: dict[str, str]) -> None:
    async with running_gateway(auth={"proxy_api_key": Secret("right")}) as gateway, client_of(gateway) as client:
        answer = await client.post(PATH[dialect], json=small(dialect), headers=headers)

    shown = error_in(dialect, answer)
    assert (401, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert ("authentication_error" if dialect is ANTHROPIC else _BAD) == shown.type
    assert "right" not in answer.text
    assert [] == gateway.upstream_requests


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_an_upstream_that_is_not_there_is_a_502(dialect: WireFormat, stream: bool) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        async with (
            running_gateway(f"http://127.0.0.1:{closed.getsockname()[1]}") as gateway,
            client_of(gateway) as client,
        ):
            begun = time.monotonic()
            answer = await client.post(PATH[dialect], json=small(dialect, stream=stream))

    assert time.monotonic() - begun < 5.0
    shown = error_in(dialect, answer)
    assert 502 == answer.status_code
    assert "doctor" in shown.message
    assert ("api_error" if dialect is ANTHROPIC else _SERVER) == shown.type
    assert dialect is ANTHROPIC or "upstream_unreachable" == shown.code


_SOON = {"first_byte": 0.3, "idle": 0.3}


@pytest.mark.promise("P-45")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("script", ["stall=head", "stall=body"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_an_upstream_that_hangs_is_a_504_in_time(dialect: WireFormat, script: str, stream: bool) -> None:
    async with running_gateway(limits=_SOON) as gateway, client_of(gateway) as client:
        begun = time.monotonic()
        answer = await client.post(PATH[dialect], json=small(dialect, f"sim:{script}", stream=stream))

    assert 0.25 <= time.monotonic() - begun < 1.3
    assert 504 == answer.status_code
    assert ("timeout_error" if dialect is ANTHROPIC else _SERVER) == error_in(dialect, answer).type
    assert 1 == len(gateway.upstream_requests)  # its outcome is unknown, so it is not tried again


@pytest.mark.promise("P-45")
@pytest.mark.parametrize("setting", ["anthropic", "openai"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_an_upstream_that_hangs_later_is_an_event_in_time(dialect: WireFormat, setting: str) -> None:
    async with running_gateway(upstream_format=setting, limits=_SOON) as gateway, client_of(gateway) as client:
        begun = time.monotonic()
        asked = small(dialect, "sim:events=9;stall=mid-event", stream=True)
        answer = await client.post(PATH[dialect], json=asked)

    assert 0.25 <= time.monotonic() - begun < 1.3
    assert 200 == answer.status_code
    events = events_of(answer.content)
    if dialect is RESPONSES:
        check_responses_stream(answer.content)
        assert "response.failed" == events.pop()["type"]
        last = {"error": events[-1]["error"]}
    else:
        last = events[-1]
    shown = error_of(dialect, last, answer.headers["request-id"])
    assert ("timeout_error" if dialect is ANTHROPIC else _SERVER) == shown.type
    assert b"[DONE]" not in answer.content


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_a_full_house_is_a_429_at_once_with_a_time_to_come_back(dialect: WireFormat) -> None:
    async with (
        running_gateway(limits={"streams": 1, "queue": 0}) as gateway,
        client_of(gateway) as client,
        asyncio.TaskGroup() as tasks,
    ):
        first = tasks.create_task(client.post(PATH[OPENAI], json=small(OPENAI, "sim:delay=300")))
        await asyncio.sleep(0.1)
        answer = await client.post(PATH[dialect], json=small(dialect))

        assert (429, "true") == (answer.status_code, answer.headers["x-should-retry"])
        assert 1 <= int(answer.headers["retry-after"]) <= 10
        assert "rate_limit_error" == error_in(dialect, answer).type
        assert 200 == (await first).status_code


async def test_the_upstreams_own_request_id_is_told_on_errors_and_answers() -> None:
    refused = b"HTTP/1.1 400 Bad Request\r\nx-log-id: theirs-1\r\ncontent-length: 2\r\n\r\n{}"
    async with running_gateway() as gateway, client_of(gateway) as client:
        gateway.simulator.scripts.push(Script(raw=refused))
        answer = await client.post(PATH[ANTHROPIC], json=small(ANTHROPIC))

    assert (400, "theirs-1") == (answer.status_code, answer.headers["x-upstream-request-id"])
    error_in(ANTHROPIC, answer)
