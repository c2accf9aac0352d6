"""
Processes of two releases that talk to each other, and replicas of two releases over one store (P-68).

Shown to fail once by: a snapshot or a report with `forbid_unknown_fields`; another path of the contract; another layout
of the captcha service's claims in one of the two; a record that only its writer's release reads.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.captcha.client import CaptchaClient
from services.captcha.contract import TokenRequest
from services.chassis.peer.token_file import TokenFile
from services.chassis.process import Tasks
from services.simulator.start_plan import BASE
from tests.support.captcha import JWT
from tests.support.cluster import QUESTION, Cluster, quiet_port
from tests.support.haproxy import haproxy
from tests.support.pods import SECONDS, House, Pod
from tests.support.redis_server import Server, free_port
from tests.support.simulator_process import simulator_process
from tests.support.start_plan import Person, person_at
from tests.support.traffic import Traffic
from tests.system.upgrade.conftest import OTHERS, PAIRS, PRESENT, house_in


@pytest.mark.timeout(300)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize(("caller", "called"), PAIRS)
def test_a_gateway_and_a_service_of_two_releases(
    caller: str, called: str, releases: dict[str, Path], tmp_path: Path
) -> None:
    with house_in(tmp_path, releases[called]) as house:
        (pod,) = house.pods
        pod.start(gateway=releases[caller], service=releases[called])
        token = str(pod.directory / "state" / "admin.token")
        remote = ("--server", pod.admin_url, "--token-file", token)
        key = pod.command("keys", "create", "--name", "a", *remote)
        pod.wait(lambda: pod.ask(key).status_code == 200, seconds=SECONDS)
        house.revoke_keys()
        renewed = pod.ask(key)
        (login,) = pod.listed("auth", "status", *remote)
        house.script("error=1308;message=resets at 2099-01-01 00:00:00")
        limited = pod.ask(key)
        pod.wait(lambda: pod.listed("auth", "status", *remote)[0]["state"] == "cooling", seconds=SECONDS)
        (made,) = pod.listed("keys", "list", *remote)
        pod.command("keys", "revoke", made["id"], *remote)
        pod.wait(lambda: pod.ask(key).status_code == 401, seconds=SECONDS)

    assert (200, "ready", 429) == (renewed.status_code, login["state"], limited.status_code)


def _replace(pod: Pod, code: Path) -> None:
    pod.leave(drain=1.0)
    pod.start(gateway=code, service=code)


async def _roll(house: House, codes: list[Path], traffic: Traffic) -> None:
    """Replace every pod by each release in turn; between two pods keys are made and ended by whoever is there."""
    for number, code in enumerate(codes):
        for pod in house.pods:
            await asyncio.to_thread(_replace, pod, code)
            made = await asyncio.to_thread(pod.command, "keys", "create", "--name", f"{number}-{pod.port}")
            for other in house.pods:
                await asyncio.to_thread(other.wait, lambda at=other, key=made: at.ask(key).status_code == 200)
            (id_,) = [key["id"] for key in pod.listed("keys", "list") if key["name"] == f"{number}-{pod.port}"]
            await asyncio.to_thread(house.pods[0].command, "keys", "revoke", id_)
            for other in house.pods:
                await asyncio.to_thread(other.wait, lambda at=other, key=made: at.ask(key).status_code == 401)
    traffic.ending.set()


async def _rolled(tmp_path: Path, old: Path, new: Path, *, rounds: int, streams: int, seconds: float) -> Traffic:
    """Roll forward and back under traffic, while the login is made anew every few seconds."""
    with house_in(tmp_path, old, expires_in=12) as house:
        (first,) = house.pods
        second = house.pod("b", code=old)
        key = first.command("keys", "create", "--name", "traffic")
        for pod in (first, second):
            await asyncio.to_thread(pod.start, gateway=old, service=old)
        with haproxy(tmp_path, free_port(), [(pod.port, pod.admin) for pod in house.pods]) as address:
            traffic = Traffic(address, key, streams=streams, seconds=seconds)
            async with asyncio.TaskGroup() as group:
                group.create_task(traffic.run())
                group.create_task(_roll(house, [new, old] * rounds, traffic))
        counts = house.provider()
        (login,) = first.listed("auth", "status")
    print(f"P-68: {traffic.whole} streams, {traffic.short} requests, {counts['refreshed']} refreshes")
    assert ("ready", 0) == (login["state"], counts.get("families_ended", 0))
    assert counts["refreshed"] > rounds
    return traffic


@pytest.mark.timeout(400)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize("other", [OTHERS[0]])
async def test_a_roll_forward_and_back_fails_no_request(other: str, releases: dict[str, Path], tmp_path: Path) -> None:
    traffic = await _rolled(tmp_path, releases[other], releases[PRESENT], rounds=1, streams=6, seconds=3.0)

    assert [] == traffic.faults
    assert traffic.whole >= 12
    assert traffic.short > 50


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize("other", OTHERS)
async def test_five_rolls_forward_and_back(other: str, releases: dict[str, Path], tmp_path: Path) -> None:
    traffic = await _rolled(tmp_path, releases[PRESENT], releases[other], rounds=5, streams=30, seconds=5.0)

    assert [] == traffic.faults


# -- captcha


class _Home(Cluster):
    """A gateway on the start plan with a captcha service of its own, over a bank that others share."""

    def __init__(self, directory: Path, origin: str, store: str, shared: Path) -> None:
        path = str(directory / "run" / "p.sock")
        self.captcha_admin = quiet_port()
        listen = {"socket": path, "address": f"unix:{path}", "port": quiet_port(), "adminPort": self.captcha_admin}
        more: dict[str, Any] = {
            "plan": "start-plan",
            "credentials": {},
            "captcha": listen | {"keyFile": str(shared / "captcha.key")},
            "startPlan": {"base": f"{origin}{BASE}", "configsUrl": f"{origin}/api/v1/client/configs", "jwt": JWT},
        }
        super().__init__(directory, origin, socket=True, store={"url": store}, more=more)

    @contextmanager
    def serving(self, *, gateway: Path, captcha: Path) -> Iterator[None]:
        with ExitStack() as stack:
            self.code = captcha
            service = stack.enter_context(self.running("captcha"))
            self.wait(lambda: self.readiness(self.captcha_admin)[0] == 200, service, SECONDS)
            self.code = gateway
            process = stack.enter_context(self.gateway())
            self.wait(lambda: self.readiness()[0] == 200, process, SECONDS)
            yield


async def _format_known(home: _Home) -> str | None:
    """Return which format works instead of another, as the home's captcha service tells gateways."""
    tokens = TokenFile(home.directory / "run" / "captcha.token")
    async with contextlib.aclosing(CaptchaClient(f"unix:{home.directory / 'run' / 'p.sock'}", tokens=tokens)) as client:
        return (await client.token(TokenRequest(request_id="a-look", provider="zai"))).working_format


async def _banked(home: _Home, person: Person, origin: str) -> None:
    """A request that waits at one replica is served with what a person did at the other's page."""
    start_plan = f"{origin}/_simulator/start-plan"
    url = f"http://127.0.0.1:{home.port}/v1/messages"
    async with Tasks() as calls, httpx2.AsyncClient(timeout=60, trust_env=False) as http:
        (await http.post(start_plan, json={"challenges": 1})).raise_for_status()
        call = calls.start(http.post(url, json=QUESTION), name="call")
        await person.asked()
        await person.complete(f"waited-for-{home.port}")
        waited = await call
        await person.complete(f"in-stock-{home.port}")
        (await http.post(start_plan, json={"challenges": 1})).raise_for_status()
        stocked = await http.post(url, json=QUESTION)
        left = (await person.state())["state"]["lives"]

    assert (200, 200, []) == (waited.status_code, stocked.status_code, left), (waited.text, stocked.text)


@pytest.mark.timeout(300)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize(("one", "another"), PAIRS)
async def test_captcha_services_of_two_releases_share_a_bank(
    one: str, another: str, releases: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "captcha.key").write_text("a-key-of-the-captcha-services-that-is-long-enough\n")
    with Server(tmp_path / "redis") as redis, simulator_process() as origin, ExitStack() as stack:
        homes = [_Home(tmp_path / name, origin, redis.url, tmp_path) for name in "ab"]
        # Each gateway is of the release that its captcha service is not of.
        await asyncio.to_thread(stack.enter_context, homes[0].serving(gateway=releases[another], captcha=releases[one]))
        await asyncio.to_thread(stack.enter_context, homes[1].serving(gateway=releases[one], captcha=releases[another]))
        for page, served in (homes, homes[::-1]):
            link = await asyncio.to_thread(page.command, "captcha", "link")
            async with person_at(link) as person:
                await _banked(served, person, origin)
        # A route that is gone: what one gateway finds out, all know by way of the shared bank.
        httpx2.post(f"{origin}/_simulator/start-plan", json={"retired": ["openai"]}, trust_env=False)
        async with person_at(await asyncio.to_thread(homes[0].command, "captcha", "link")) as person:
            await person.complete("for-the-route-that-is-gone")
            moved = await asyncio.to_thread(homes[0].ask, None)
            await person.complete("for-the-one-that-knows")
            known = [await _format_known(home) for home in homes]

    assert (200, ["anthropic", "anthropic"]) == (moved.status_code, known), moved.text
