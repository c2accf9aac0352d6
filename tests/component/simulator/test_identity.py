"""The simulated identity provider: what its users may rely on beyond what a login shows."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from services.chassis.secret import Secret
from services.simulator.accounts import Accounts
from services.simulator.app import Simulator
from services.simulator.settings import SimulatorSettings
from tests.support.simulated import running_simulator

_CONTROL = "/_simulator/identity"
_CHAT = "/api/anthropic/v1/messages"
_KEYS = "/api/biz/v1/organization/org-simulated/projects/proj-simulated/api_keys"
_AUTHORIZE = {"redirect_uri": "http://127.0.0.1:1/cb", "state": "s"}


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(SimulatorSettings(port=0, pace_ms=0, keys=(Secret("configured"),)))


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        running_simulator(simulator) as origin,
        httpx2.AsyncClient(base_url=origin, timeout=10, trust_env=False) as made,
    ):
        yield made


async def token(client: httpx2.AsyncClient, **given: str) -> Any:
    return (await client.post("/api/v1/oauth/token", json={"provider": "zai", **given})).json()


async def code_of(client: httpx2.AsyncClient, **query: str) -> str:
    answer = await client.get("/api/oauth/authorize", params=_AUTHORIZE | query)
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


async def chat(client: httpx2.AsyncClient, key: str) -> int:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    return (await client.post(_CHAT, json=body, headers={"x-api-key": key})).status_code


async def test_the_chat_area_takes_issued_keys_until_they_are_revoked(
    simulator: Simulator, client: httpx2.AsyncClient
) -> None:
    key = ".".join(simulator.accounts.make_key("zai"))

    assert [await chat(client, name) for name in (key, "configured", "another")] == [200, 200, 401]
    await client.post(f"{_CONTROL}/revoke-keys")
    assert [await chat(client, name) for name in (key, "configured")] == [401, 200]


async def test_without_configured_keys_any_key_is_good_but_a_revoked_one() -> None:
    open_to_all = Simulator(SimulatorSettings(port=0, pace_ms=0))
    key = ".".join(open_to_all.accounts.make_key("zai"))
    open_to_all.accounts.revoke_keys()
    async with running_simulator(open_to_all) as origin, httpx2.AsyncClient(base_url=origin, trust_env=False) as client:
        assert [await chat(client, name) for name in ("any", key)] == [200, 401]


async def test_a_code_is_good_once_and_only_for_what_was_authorized(client: httpx2.AsyncClient) -> None:
    good = {"redirect_uri": _AUTHORIZE["redirect_uri"], "state": "s"}
    for wrong in ({"state": "t"}, {"redirect_uri": "http://127.0.0.1:2/cb"}, {"provider": "bigmodel"}):
        assert (await token(client, code=await code_of(client), **(good | wrong)))["code"] == 2007
    code = await code_of(client)
    assert (await token(client, code=code, **good))["code"] == 0
    assert (await token(client, code=code, **good))["code"] == 2007


async def test_pkce_is_checked_where_it_is_asked_for(client: httpx2.AsyncClient) -> None:
    await client.post(_CONTROL, json={"pkce": True})
    assert (await client.get("/api/oauth/authorize", params=_AUTHORIZE)).status_code == 400
    good = {"redirect_uri": _AUTHORIZE["redirect_uri"], "state": "s"}
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    for given, expected in (({}, 2007), ({"code_verifier": "wrong"}, 2007), ({"code_verifier": verifier}, 0)):
        code = await code_of(client, code_challenge=challenge)
        assert (await token(client, code=code, **good, **given))["code"] == expected


async def test_a_person_may_take_their_time_or_refuse(client: httpx2.AsyncClient) -> None:
    await client.post(_CONTROL, json={"approve": "wait"})
    page = await client.get("/api/oauth/authorize", params=_AUTHORIZE)
    assert (page.status_code, "Agree" in page.text) == (200, True)
    assert await code_of(client, approved="1")

    bearer = {"authorization": "Bearer poll"}
    begun = (await client.post("/api/v1/oauth/cli/init", json={"provider": "zai"}, headers=bearer)).json()["data"]
    poll = f"/api/v1/oauth/cli/poll/{begun['flow_id']}"
    assert (await client.get(begun["authorize_url"])).status_code == 200
    assert (await client.get(poll, headers=bearer)).json()["data"] == {"status": "pending"}
    assert (await client.get(poll, headers={"authorization": "Bearer other"})).status_code == 404
    assert (await client.post(f"{_CONTROL}/approve")).json() == {"approved": 1}
    assert (await client.get(poll, headers=bearer)).json()["data"]["status"] == "ready"
    assert (await client.get(poll, headers=bearer)).status_code == 404

    await client.post(_CONTROL, json={"approve": "deny"})
    denied = await client.get("/login", params={"appId": "zcode", "redirect": "http://127.0.0.1:1/cb", "state": "s"})
    assert "error=access_denied" in denied.headers["location"]


async def test_what_cannot_be_is_refused(client: httpx2.AsyncClient) -> None:
    assert (await client.post(_CONTROL, json={"aprove": "auto"})).status_code == 400
    assert (await client.post(_CONTROL, content=b"[")).status_code == 400
    assert (await client.get("/api/v1/oauth/token")).status_code == 405
    assert (await client.get("/oauth/cli/authorize?flow=none")).status_code == 404
    assert (await client.post("/api/v1/oauth/cli/init", json={"provider": "zai"})).json()["code"] == 3001
    assert (await client.post("/api/v1/oauth/cli/init", content=b"[")).json()["code"] == 3001
    nobody = {"authorization": "Bearer nobody"}
    for method, path in (
        ("GET", _KEYS),
        ("POST", _KEYS),
        ("GET", f"{_KEYS}/copy/x"),
        ("GET", "/api/biz/customer/getCustomerInfo"),
    ):
        assert (await client.request(method, path, headers=nobody)).json()["code"] == 401


async def test_counts_are_kept_and_a_reset_forgets_them_and_the_behaviour(client: httpx2.AsyncClient) -> None:
    await client.post(_CONTROL, json={"refresh": True})
    await code_of(client)
    before = (await client.get(_CONTROL)).json()
    await client.post("/_simulator/reset")
    after = (await client.get(_CONTROL)).json()

    assert (before["behaviour"]["refresh"], before["counts"]) == (True, {"authorize": 1})
    assert (after["behaviour"]["refresh"], after["counts"]) == (False, {})


async def test_every_login_can_be_ended(client: httpx2.AsyncClient, simulator: Simulator) -> None:
    issued = await token(client, code=await code_of(client), redirect_uri=_AUTHORIZE["redirect_uri"], state="s")
    await client.post(f"{_CONTROL}/end-logins")

    access = issued["data"]["zai"]["access_token"]
    assert simulator.accounts.business(access) is None


def test_a_token_that_is_not_rotated_stays_and_a_code_and_a_login_run_out() -> None:
    now = [0.0]
    accounts = Accounts(lambda: now[0])
    accounts.change({"refresh": True, "rotate": False, "code_seconds": 5, "lifetime": 5})
    code, late = (accounts.code("zai", "r", "s", None) for _ in range(2))
    given = {"provider": "zai", "redirect_uri": "r", "state": "s"}
    issued = accounts.exchange(given | {"code": code})
    assert issued is not None
    assert issued.refresh_token is not None
    for _ in range(2):
        again = accounts.refresh(issued.refresh_token)
        assert again is not None
        assert again.refresh_token == issued.refresh_token
    flow = accounts.begin("zai", "poll")
    now[0] = 6.0
    assert accounts.exchange(given | {"code": late}) is None
    assert accounts.poll(flow, "poll") == "failed"
