"""A start-plan exchange in memory, the challenge of its upstream, and the captcha headers that it sends."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import msgspec

from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.delivery import DeliverySettings
from services.gateway.dialect import Dialect
from services.gateway.downstream import AsgiDownstream
from services.gateway.event_stream import Keeper
from services.gateway.exchange import ExchangeSettings
from services.gateway.format_memory import FormatMemory
from services.gateway.leases import ConfiguredLeases, Leases
from services.gateway.observation import Observation
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.start_plan import PARAM, REGION, StartPlanExchange, StartPlanNeeds
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.upstream.transport import AnswerLimits, Timeouts, TransportError, UpstreamRequest
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat
from tests.support.dialects import OPENAI, small
from tests.support.memory_calls import client_call, observation, upstream_route
from tests.support.memory_client import MemoryClient
from tests.support.memory_upstream import MemoryAnswer, MemoryTransport
from tests.support.passes import MemoryPasses
from tests.support.small_answers import whole

CHALLENGE = b'{"code":3007,"msg":"captcha verification required"}'
ROUTES = {
    wire: msgspec.structs.replace(
        upstream_route(wire), plan=Plan.START, auth_header=b"authorization", auth_prefix=b"Bearer "
    )
    for wire in UPSTREAM_FORMATS
}


class Desk:
    """A start-plan exchange in front of an upstream in memory."""

    def __init__(
        self,
        tasks: Tasks,
        *answers: MemoryAnswer | TransportError | None,
        passes: MemoryPasses | None = None,
        setting: UpstreamFormat = UpstreamFormat.OPENAI,
        slots: Slots | None = None,
        retries: int = 3,
        patience: float = 40.0,
        hold: float = 10.0,
        formats: FormatMemory | None = None,
        leases: Leases | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tasks = tasks
        self.transport = MemoryTransport(*answers)
        self.passes = passes or MemoryPasses()
        self.formats = formats or FormatMemory()
        self.slots = slots or Slots(2, 0, 0.1)
        self.keeper = Keeper(0.01)
        settings = ExchangeSettings(
            routes=ROUTES,
            upstream_format=setting,
            dialect_of=lambda _route, _model: Dialect(),
            max_tokens_of=lambda _model: 100,
            request_limits=RequestLimits(),
            identity=((b"x-title", b"test"),),
            stream_timeouts=Timeouts(),
            batch_timeouts=Timeouts(),
            stream_limits=AnswerLimits(),
            batch_limits=AnswerLimits(),
            retries=2,
            delivery=DeliverySettings(event_limit=1000, body_limit=1000, hold=hold, ping=15.0, simulated=False),
        )
        self.exchange = StartPlanExchange(
            settings,
            self.transport,
            leases or ConfiguredLeases(Secret("unused")),
            self.slots,
            self.keeper,
            needs=StartPlanNeeds(system_blocks=("one", "two"), retries=retries, patience=patience),
            passes=self.passes,
            formats=self.formats,
            clock=clock,
        )
        self.client = MemoryClient()
        self.downstream = AsgiDownstream(self.client.receive, self.client.send, tasks)
        self.observation: Observation = observation(time.monotonic())

    async def run(self, client: WireFormat = OPENAI, body: bytes | None = None, **fields: Any) -> None:
        body = body or json.dumps(small(client, stream=fields.get("stream", False))).encode()
        await self.exchange.run(client_call(client, body, **fields), self.downstream, self.observation)

    def start(self, **fields: Any) -> asyncio.Task[None]:
        return self._tasks.start(self.run(**fields), name="call")

    @property
    def at_rest(self) -> bool:
        return (self.slots.running, self.slots.waiting, len(self.keeper), self.passes.waiting) == (0, 0, 0, 0)


def challenged() -> MemoryAnswer:
    """Return an answer that asks for a captcha."""
    return whole(400, CHALLENGE)


def captcha_headers(request: UpstreamRequest) -> tuple[bytes | None, bytes | None]:
    """Return the captcha token that a request carries, and its region."""
    headers = dict(request.headers)
    return headers.get(PARAM), headers.get(REGION)
