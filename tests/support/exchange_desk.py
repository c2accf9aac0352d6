"""An exchange in memory, with its client and what was observed."""

import asyncio
import json
import time
from typing import Any

from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.delivery import DeliverySettings
from services.gateway.dialect import Dialect
from services.gateway.downstream import AsgiDownstream
from services.gateway.event_stream import Keeper
from services.gateway.exchange import Exchange, ExchangeSettings
from services.gateway.leases import ConfiguredLeases, Leases
from services.gateway.observation import Observation
from services.gateway.routing import UpstreamFormat
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.upstream.transport import AnswerLimits, Timeouts, TransportError
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, small
from tests.support.memory_calls import client_call, observation, upstream_route
from tests.support.memory_client import MemoryClient
from tests.support.memory_upstream import MemoryAnswer, MemoryTransport


class Desk:
    """An exchange in front of an OpenAI upstream in memory."""

    def __init__(
        self,
        tasks: Tasks,
        *answers: MemoryAnswer | TransportError | None,
        leases: Leases | None = None,
        slots: Slots | None = None,
        retries: int = 2,
        hold: float = 10.0,
    ) -> None:
        self._tasks = tasks
        self.transport = MemoryTransport(*answers)
        self.slots = slots or Slots(2, 0, 0.1)
        self.keeper = Keeper(0.01)
        settings = ExchangeSettings(
            routes={OPENAI: upstream_route(OPENAI), ANTHROPIC: upstream_route(ANTHROPIC)},
            upstream_format=UpstreamFormat.OPENAI,
            dialect_of=lambda _route, _model: Dialect(),
            max_tokens_of=lambda _model: 100,
            request_limits=RequestLimits(),
            identity=((b"x-title", b"test"),),
            stream_timeouts=Timeouts(total=1000.0),
            batch_timeouts=Timeouts(total=100.0),
            stream_limits=AnswerLimits(body=1000),
            batch_limits=AnswerLimits(body=100),
            retries=retries,
            delivery=DeliverySettings(event_limit=1000, body_limit=1000, hold=hold, ping=15.0, simulated=False),
        )
        leases = leases or ConfiguredLeases(Secret("up.key"))
        self.exchange = Exchange(settings, self.transport, leases, self.slots, self.keeper)
        self.client = MemoryClient()
        self.downstream = AsgiDownstream(self.client.receive, self.client.send, tasks)
        self.observation: Observation = observation(time.monotonic())

    async def run(self, client: WireFormat = OPENAI, body: bytes | None = None, **fields: Any) -> None:
        stream = fields.get("stream", False)
        body = body or json.dumps(small(client, stream=stream)).encode()
        await self.exchange.run(client_call(client, body, **fields), self.downstream, self.observation)

    def start(self, **fields: Any) -> asyncio.Task[None]:
        return self._tasks.start(self.run(**fields), name="call")

    @property
    def at_rest(self) -> bool:
        return (self.slots.running, self.slots.waiting, len(self.keeper)) == (0, 0, 0)
