"""The simulated start plan: both formats, and everything its gateway may ask for before it answers."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from services.simulator.app import Simulator
from services.simulator.start_plan import PATHS, StartPlanBehaviour
from services.simulator.wire import Wire
from tests.support.simulated import TEST_SETTINGS, running_simulator

_CAPTCHA = {"x-aliyun-captcha-verify-param": "token-1", "x-aliyun-captcha-verify-region": "cn"}


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(TEST_SETTINGS)


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running_simulator(simulator) as origin,
        httpx2.AsyncClient(base_url=origin, headers={"authorization": "Bearer j.w.t"}, timeout=10) as made,
    ):
        yield made


async def _ask(
    client: httpx2.AsyncClient, wire: Wire = Wire.OPENAI, system: str = "", **headers: str
) -> httpx2.Response:
    messages = [{"role": "user", "content": "hi"}]
    body: dict[str, object] = {"model": "m", "max_tokens": 9, "messages": messages}
    if wire is Wire.OPENAI:
        body["messages"] = [{"role": "system", "content": system}, *messages]
    else:
        body["system"] = [{"type": "text", "text": system}]
    return await client.post(PATHS[wire], json=body, headers=headers)


@pytest.mark.parametrize("wire", Wire)
async def test_both_formats_are_served(client: httpx2.AsyncClient, wire: Wire) -> None:
    answer = await _ask(client, wire)

    assert 200 == answer.status_code
    assert "(simulated" in answer.text


@pytest.mark.parametrize("wire", Wire)
async def test_a_retired_route_is_not_found(simulator: Simulator, client: httpx2.AsyncClient, wire: Wire) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(retired=(wire,))

    statuses = [(await _ask(client, each)).status_code for each in Wire]

    assert [404 if each is wire else 200 for each in Wire] == statuses


async def test_a_jwt_that_is_not_good_gets_an_empty_401(simulator: Simulator, client: httpx2.AsyncClient) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(jwts=("other",))

    refused = await _ask(client)
    taken = await _ask(client, authorization="Bearer other")

    assert (401, b"") == (refused.status_code, refused.content)
    assert 200 == taken.status_code


@pytest.mark.parametrize("wire", Wire)
async def test_the_system_text_is_inspected(simulator: Simulator, client: httpx2.AsyncClient, wire: Wire) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(system_text="the provider's own")

    refused = await _ask(client, wire)
    taken = await _ask(client, wire, "This is the provider's own text.")

    assert (405, {"code": 3012, "msg": "method not allowed"}) == (refused.status_code, refused.json())
    assert 200 == taken.status_code


async def test_a_watched_account_is_refused(simulator: Simulator, client: httpx2.AsyncClient) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(watched=True)

    answer = await _ask(client)

    assert (403, 3012, True) == (answer.status_code, answer.json()["code"], "unusual activity" in answer.json()["msg"])


@pytest.mark.parametrize(("form", "status"), [("400", 400), ("403", 403), ("header", 403)])
async def test_a_challenge_comes_in_every_form(client: httpx2.AsyncClient, form: str, status: int) -> None:
    await client.post("/_simulator/start-plan", json={"challenge": True, "challenge_form": form})

    refused = await _ask(client)
    taken = await _ask(client, **_CAPTCHA)
    again = await _ask(client, **_CAPTCHA)

    assert [status, 200, status] == [answer.status_code for answer in (refused, taken, again)]
    if form == "header":
        assert (refused.headers["x-aliyun-captcha-verify-param"], refused.content) == ("challenge", b"")
    else:
        assert 3007 == refused.json()["code"]


async def test_a_challenge_may_come_in_the_middle(simulator: Simulator, client: httpx2.AsyncClient) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(calm=2, challenges=1)

    assert [200, 200, 400, 200] == [(await _ask(client)).status_code for _ in range(4)]


async def test_challenges_are_counted(simulator: Simulator, client: httpx2.AsyncClient) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(challenges=1)

    assert [400, 200] == [(await _ask(client)).status_code for _ in range(2)]


@pytest.mark.parametrize(
    "wrong", [{"x-aliyun-captcha-verify-param": "bad-1"}, {"x-aliyun-captcha-verify-region": "sgp"}]
)
async def test_a_token_that_is_not_good_is_refused(
    simulator: Simulator, client: httpx2.AsyncClient, wrong: dict[str, str]
) -> None:
    simulator.start_plan.behaviour = StartPlanBehaviour(region="cn")

    answer = await _ask(client, **(_CAPTCHA | wrong))

    assert 3007 == answer.json()["code"]


async def test_what_it_asks_for_can_be_seen_and_changed(client: httpx2.AsyncClient) -> None:
    await client.post("/_simulator/start-plan", json={"retired": ["openai"]})
    changed = (await client.get("/_simulator/start-plan")).json()
    wrong = await client.post("/_simulator/start-plan", json={"retired": ["smoke-signals"]})
    await client.post("/_simulator/reset")
    reset = (await client.get("/_simulator/start-plan")).json()

    assert (["openai"], []) == (changed["retired"], reset["retired"])
    assert 400 == wrong.status_code
    assert "retired" in json.dumps(wrong.json())


async def test_a_body_that_is_none_is_refused_in_the_usual_way(
    simulator: Simulator, client: httpx2.AsyncClient
) -> None:
    answer = await client.post(PATHS[Wire.OPENAI], content=b"[")
    simulator.start_plan.behaviour = StartPlanBehaviour(system_text="wanted")
    inspected = await client.post(PATHS[Wire.OPENAI], content=b"[")

    assert ("1210", 3012) == (answer.json()["error"]["code"], inspected.json()["code"])
