"""A format that the provider has taken away: found out within one request, told once, and known to every replica."""

import asyncio
from pathlib import Path

import pytest

from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.wire.formats import WireFormat
from services.simulator.start_plan import BASE, StartPlanBehaviour
from services.simulator.wire import Wire
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, error_in, small
from tests.support.gateway import running_gateway
from tests.support.start_plan import START_PATH, StartPlan, running_start_plan, said

_RETIRED = (Wire.OPENAI,)


def _paths(plan: StartPlan) -> list[str]:
    return [request.path for request in plan.upstream]


def _moved(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "answered 404" in record.getMessage()]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_auto_moves_to_the_live_route_within_one_request_and_says_so_once(
    tmp_path: Path, client: WireFormat, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    asked = small(client, "sim:text=Hello%20there", stream=stream)
    async with running_start_plan(tmp_path, retired=_RETIRED) as plan, client_of(plan.gateway) as http:
        first = await http.post(PATH[client], json=asked)
        second = await http.post(PATH[client], json=asked)

    assert ["Hello there"] * 2 == [said(client, answer.content, ANTHROPIC, stream=stream) for answer in (first, second)]
    assert [START_PATH[OPENAI], START_PATH[ANTHROPIC], START_PATH[ANTHROPIC]] == _paths(plan)
    [line] = _moved(caplog)
    assert "startPlan.upstreamFormat: anthropic" in line


async def test_many_at_once_move_together_and_it_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running_start_plan(tmp_path, retired=_RETIRED) as plan, client_of(plan.gateway) as http:
        calls = [plan.calls.start(http.post(PATH[OPENAI], json=small(OPENAI)), name="call") for _ in range(8)]
        statuses = [(await call).status_code for call in calls]

    assert [200] * 8 == statuses
    assert 1 == len(_moved(caplog))


async def test_a_challenge_on_the_live_route_is_met_there(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path, retired=_RETIRED, challenges=1) as plan, client_of(plan.gateway) as http:
        call = plan.calls.start(http.post(PATH[ANTHROPIC], json=small(ANTHROPIC)), name="call")
        await plan.person.asked()
        await plan.person.complete("token-1")
        answer = await call

    assert 200 == answer.status_code
    assert [START_PATH[OPENAI], *[START_PATH[ANTHROPIC]] * 2] == _paths(plan)
    assert [None, None, "token-1"] == plan.tokens


async def test_a_token_is_not_lost_on_a_route_that_is_gone(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path, retired=_RETIRED, challenge=True) as plan, client_of(plan.gateway) as http:
        await plan.person.complete("token-1")
        answer = await http.post(PATH[OPENAI], json=small(OPENAI))

    assert 200 == answer.status_code
    assert ["token-1", "token-1"] == plan.tokens
    assert ["token-1"] == plan.simulator.start_plan.used


async def test_another_replica_learns_it_from_the_captcha_service(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_start_plan(tmp_path, retired=_RETIRED, by="http") as plan, client_of(plan.gateway) as http:
        await http.post(PATH[OPENAI], json=small(OPENAI))
        await _reported(plan)
        plan.simulator.records.reset()
        base = plan.gateway.settings.start_plan.base
        start_plan = {"base": base, "upstream_format": UpstreamFormat.AUTO}
        async with (
            running_gateway(
                base.removesuffix(BASE), captcha_service=plan.captcha.issuer, plan=Plan.START, start_plan=start_plan
            ) as replica,
            client_of(replica) as other,
        ):
            answer = await other.post(PATH[OPENAI], json=small(OPENAI))

    assert 200 == answer.status_code
    assert [START_PATH[ANTHROPIC]] == _paths(plan)
    assert 1 == len(_moved(caplog))


async def _reported(plan: StartPlan) -> None:
    """Wait until the gateway's report has arrived: it goes out beside the answer."""
    async with asyncio.timeout(20):
        while (await plan.captcha.bank.standing("configured")).working != "anthropic":
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    ("setting", "retired", "names", "calls"),
    [
        ("auto", (Wire.OPENAI, Wire.ANTHROPIC), "startPlan.base", 2),
        ("openai", (Wire.OPENAI,), "startPlan.upstreamFormat", 1),
        ("anthropic", (Wire.ANTHROPIC,), "startPlan.upstreamFormat", 1),
    ],
)
async def test_when_there_is_no_way_the_setting_to_look_at_is_named(
    tmp_path: Path, client: WireFormat, setting: str, retired: tuple[Wire, ...], names: str, calls: int
) -> None:
    async with (
        running_start_plan(tmp_path, upstream_format=setting, retired=retired) as plan,
        client_of(plan.gateway) as http,
    ):
        answer = await http.post(PATH[client], json=small(client))

    shown = error_in(client, answer)
    assert (404, "404", "false") == (
        answer.status_code,
        answer.headers["x-zcode-upstream-status"],
        answer.headers["x-should-retry"],
    )
    assert names in shown.message
    assert (None if client is ANTHROPIC else "start_plan_route_gone") == shown.code
    assert calls == len(plan.upstream)


async def test_a_route_that_came_back_is_used_again_when_the_other_one_goes(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path, retired=_RETIRED) as plan, client_of(plan.gateway) as http:
        first = await http.post(PATH[OPENAI], json=small(OPENAI))
        plan.simulator.start_plan.behaviour = StartPlanBehaviour(retired=(Wire.ANTHROPIC,))
        second = await http.post(PATH[OPENAI], json=small(OPENAI))
        third = await http.post(PATH[OPENAI], json=small(OPENAI))

    assert [200, 200, 200] == [answer.status_code for answer in (first, second, third)]
    openai, anthropic = START_PATH[OPENAI], START_PATH[ANTHROPIC]
    assert [openai, anthropic, anthropic, openai, openai] == _paths(plan)
