"""
The start plan on loopback: a gateway, the captcha service, the simulator behind both, and the person who owns the account.

    async with running_start_plan(tmp_path, challenges=1) as plan:
        call = plan.calls.start(client_of(plan.gateway).post(…), name="call")
        await plan.person.asked()
        await plan.person.complete("token-1")

Keywords are fields of `StartPlanBehaviour`; `start_plan` and `changes` are of the gateway's settings. The person speaks to the page's
HTTP interface as its script does, and to nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import msgspec

from services.captcha.client import CaptchaService
from services.captcha.settings import CaptchaSettings
from services.chassis.process import Tasks
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.records import Request
from services.simulator.start_plan import BASE, PARAM, PATHS, StartPlanBehaviour
from services.simulator.wire import Wire
from tests.support.captcha import JWT, RunningCaptcha, running_captcha
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.simulated import TEST_SETTINGS, running_simulator

START_PATH = {OPENAI: PATHS[Wire.OPENAI], ANTHROPIC: PATHS[Wire.ANTHROPIC]}
SECONDS = 20.0  # after which a test that waits has failed, however slow the machine


def said(dialect: WireFormat, body: bytes, upstream: WireFormat, *, stream: bool) -> str:
    """Return the text of an answer, having checked a stream's shape."""
    if stream:
        seen = checked(dialect, body, upstream)
        assert seen.error is None
        return seen.text
    whole = msgspec.json.decode(body)
    if dialect is ANTHROPIC:
        return "".join(block["text"] for block in whole["content"] if block["type"] == "text")
    return str(whole["choices"][0]["message"]["content"])


class Person:
    """The owner of the account with the page open, after a one-time link was followed."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http

    async def sign_in(self, link: str) -> None:
        """Follow a one-time link."""
        answer = await self._http.post("/captcha/session", json={"link": link.partition("#")[2]})
        assert answer.status_code == 204, answer.text

    async def state(self) -> dict[str, Any]:
        """Return what the page shows."""
        answer = await self._http.get("/captcha/state")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def asked(self, times: int = 1) -> None:
        """Wait until so many requests wait for a token; 0: until none does."""
        async with asyncio.timeout(SECONDS):
            while (await self.state())["state"]["waiting"] != times:
                await asyncio.sleep(0.01)

    async def complete(self, param: str) -> None:
        """Hand a token in."""
        told = await self.state()
        answer = await self._http.post(
            "/captcha/tokens",
            json={"account": told["state"]["account"], "param": param},
            headers={"x-ticket": told["ticket"]},
        )
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def person_at(link: str) -> AsyncIterator[Person]:
    """Give the person who was sent this one-time link."""
    origin = link.partition("/captcha")[0]
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=SECONDS, trust_env=False) as http:
        person = Person(http)
        await person.sign_in(link)
        yield person


class StartPlan:
    """What a test of the start plan speaks to."""

    def __init__(
        self, gateway: RunningGateway, captcha: RunningCaptcha, person: Person, simulator: Simulator, calls: Tasks
    ) -> None:
        self.gateway = gateway
        self.calls = calls  # of clients that wait
        self.captcha = captcha
        self.person = person
        self.simulator = simulator

    @property
    def upstream(self) -> list[Request]:
        """The chat requests that went upstream, oldest first."""
        return [request for request in self.simulator.records.requests if request.path in START_PATH.values()]

    @property
    def tokens(self) -> list[str | None]:
        """The captcha token of each of them."""
        found = [request.header(PARAM) for request in self.upstream]
        return [None if param is None else param.decode() for param in found]


@asynccontextmanager
async def running_start_plan(
    directory: Path,
    *,
    upstream_format: UpstreamFormat | str = UpstreamFormat.AUTO,
    by: Literal["app", "http"] = "app",
    captcha: CaptchaSettings = CaptchaSettings(),  # noqa: B008 -- frozen
    start_plan: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    **behaviour: Any,
) -> AsyncIterator[StartPlan]:
    """Serve until the block ends. `by`: how the gateway reaches the captcha service."""
    simulator = Simulator(TEST_SETTINGS)
    simulator.start_plan.behaviour = StartPlanBehaviour(**behaviour)
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_captcha(directory, captcha, simulator=simulator, jwt=JWT))
        service: CaptchaService = running.issuer
        if by == "http":
            service = await stack.enter_async_context(contextlib.aclosing(running.client()))
        origin = await stack.enter_async_context(running_simulator(simulator))
        at = {"base": f"{origin}{BASE}", "upstream_format": UpstreamFormat(upstream_format), **(start_plan or {})}
        gateway = await stack.enter_async_context(
            running_gateway(
                origin,
                simulator=simulator,
                captcha_service=service,
                plan=Plan.START,
                start_plan=at,
                **(changes or {}),
            )
        )
        person = await stack.enter_async_context(person_at(running.link()))
        calls = await stack.enter_async_context(Tasks())
        yield StartPlan(gateway, running, person, simulator, calls)
