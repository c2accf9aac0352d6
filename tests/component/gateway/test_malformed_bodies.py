"""Malformed bodies: each is refused, or passed on for the upstream to refuse; none is a 5xx, none ends the process."""

import time
from collections.abc import AsyncIterator

import httpx2
import pytest

from services.gateway.routes.count_tokens import PATH as COUNT
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, client_of, error_in
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.rich_requests import RICH
from tests.support.spoilt_json import Spoiler

pytestmark = pytest.mark.promise("P-31")

_RUNS = [pytest.param(250, id="few"), pytest.param(2500, id="all", marks=[pytest.mark.soak, pytest.mark.timeout(900)])]


Gateways = dict[WireFormat, RunningGateway]  # by the upstream's format


@pytest.fixture(scope="module")
async def gateways() -> AsyncIterator[Gateways]:
    async with (
        running_gateway(upstream_format="anthropic", limits={"retries": 0}) as to_anthropic,
        running_gateway(upstream_format="openai", limits={"retries": 0}) as to_openai,
    ):
        yield {ANTHROPIC: to_anthropic, OPENAI: to_openai}


def _check(answer: httpx2.Response, dialect: WireFormat, body: bytes) -> None:
    assert answer.status_code < 500, (answer.status_code, answer.text[:300], body[:3000])
    if answer.status_code != 200:
        assert error_in(dialect, answer).message


@pytest.mark.parametrize("runs", _RUNS)
@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_malformed_bodies_are_answered(
    gateways: Gateways, upstream: WireFormat, dialect: WireFormat, runs: int
) -> None:
    gateway = gateways[upstream]
    spoiler = Spoiler(31)
    times = []
    async with client_of(gateway) as client:
        for _ in range(runs):
            body = spoiler.spoilt(RICH[dialect])
            begun = time.monotonic()
            answer = await client.post(PATH[dialect], content=body)
            times.append(time.monotonic() - begun)
            _check(answer, dialect, body)
            if dialect is ANTHROPIC and upstream is ANTHROPIC:
                _check(await client.post(COUNT, content=body), ANTHROPIC, body)
        assert 200 == (await client.get("/health")).status_code
    rare = sorted(times)[runs * 99 // 100]
    show("P-31", runs, 0, ms_p99=round(rare * 1000, 1), ms_max=round(max(times) * 1000, 1))
    assert rare <= 0.05


@pytest.mark.parametrize("messages", [4097, 100_000])
@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
async def test_a_crowd_of_messages_is_answered_in_time(
    gateways: Gateways, upstream: WireFormat, dialect: WireFormat, messages: int
) -> None:
    gateway = gateways[upstream]
    body = Spoiler(31).crowded(RICH[dialect], messages)
    async with client_of(gateway) as client:
        begun = time.monotonic()
        _check(await client.post(PATH[dialect], content=body), dialect, body[:200])
        _check(await client.post(COUNT, content=body), ANTHROPIC, body[:200])
        took = time.monotonic() - begun
    show("P-31", 2, 0, messages=messages, seconds=round(took, 2))
    assert took < 5.0


async def test_the_requests_that_are_spoilt_here_are_good_ones(gateways: Gateways) -> None:
    for gateway in gateways.values():
        async with client_of(gateway) as client:
            for dialect in (OPENAI, ANTHROPIC, RESPONSES):
                answer = await client.post(PATH[dialect], json=RICH[dialect])
                assert 200 == answer.status_code, answer.text
