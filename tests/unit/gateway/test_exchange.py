"""The walk of one call: route, lease, place, tries, and what is given back whatever happens."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.delivery import DeliverySettings
from services.gateway.dialect import Dialect
from services.gateway.downstream import AsgiDownstream
from services.gateway.errors import GatewayError, Misconfigured, Overloaded, UpstreamRefused, UpstreamUnreachable
from services.gateway.event_stream import Keeper
from services.gateway.exchange import Exchange, ExchangeSettings
from services.gateway.leases import ConfiguredLeases, Lease, Leases
from services.gateway.observation import Observation
from services.gateway.routing import UpstreamFormat, UpstreamRoute
from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import draining
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.upstream.transport import (
    AnswerLimits,
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    FirstByteTimeout,
    PoolTimeout,
    Timeouts,
    TransportError,
)
from services.gateway.wire.formats import WireFormat
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI, small
from tests.support.frames import DONE, chunk
from tests.support.memory_calls import client_call, observation, upstream_route
from tests.support.memory_client import MemoryClient, settle
from tests.support.memory_upstream import JSON, MemoryAnswer, MemoryTransport

ANSWER = {
    "id": "up-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
STREAM = chunk({"role": "assistant", "content": "hi"}) + chunk({}, "stop") + DONE
BUSY = b'{"error":{"code":"1302","message":"slow down"}}'


class RenewedLeases:
    """Gives another credential after each fault, so often."""

    def __init__(self, renewals: int) -> None:
        self._left = renewals
        self.faults: list[Fault] = []

    def current(self, route: UpstreamRoute, model: str | None = None, resting: Collection[str] = ()) -> Lease:
        assert (route.format, model) == (OPENAI, "glm-5.1")
        self.resting = resting
        return Lease("old", Secret("old.key"))

    async def after(self, fault: Fault, lease: Lease, route: UpstreamRoute, model: str) -> Lease | None:
        assert (route.format, model) == (OPENAI, "glm-5.1")
        self.faults.append(fault)
        if self._left == 0:
            return None
        self._left -= 1
        return Lease(f"{lease.credential_id}+", Secret("new.key"))


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


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks(lambda _name, _error: None) as made:
        yield made


def _whole(status: int = 200, body: Any = ANSWER, **headers: bytes) -> MemoryAnswer:
    extra = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return MemoryAnswer(status, [*JSON, *extra], body if isinstance(body, bytes) else json.dumps(body).encode())


async def test_a_call_is_sent_with_its_route_lease_and_limits(tasks: Tasks) -> None:
    answer = _whole()
    desk = Desk(tasks, answer)
    await desk.run()

    [request] = desk.transport.requests
    assert (request.method, request.path, request.origin.host) == ("POST", b"/chat", "upstream.example")
    assert (b"authorization", b"Bearer up.key") in list(request.headers)
    assert (b"x-title", b"test") in request.fixed.pairs
    assert (request.timeouts.total, request.limits.body) == (100.0, 100)
    assert json.loads(request.body)["model"] == "glm-5.1"
    assert (desk.client.status, desk.client.complete) == (200, True)
    assert answer.closed
    assert desk.at_rest


async def test_a_stream_is_sent_with_the_limits_of_streams(tasks: Tasks) -> None:
    answer = MemoryAnswer(body=STREAM)
    desk = Desk(tasks, answer)
    await desk.run(ANTHROPIC, stream=True)

    [request] = desk.transport.requests
    assert (request.timeouts.total, request.limits.body) == (1000.0, 1000)
    assert checked(ANTHROPIC, desk.client.body, OPENAI).text == "hi"
    assert answer.closed
    assert desk.at_rest


async def test_what_is_known_of_a_call_is_observed(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole())
    await desk.run(ANTHROPIC, json.dumps(small(ANTHROPIC, top_k=3)).encode())

    seen = desk.observation
    assert (seen.provider, seen.plan, seen.upstream_format) == ("zai", "coding-plan", "openai")
    assert (seen.credential_id, seen.model, seen.stream) == ("config", "glm-5.1", False)
    assert (seen.attempts, seen.upstream_status, seen.status) == (1, 200, 200)
    assert "top_k" in seen.dropped
    assert seen.usage is not None


async def test_a_call_that_cannot_be_translated_takes_no_place(tasks: Tasks) -> None:
    desk = Desk(tasks)
    with pytest.raises(TranslationError):
        await desk.run(ANTHROPIC, b'{"model":"glm-5.1","max_tokens":1,"messages":7}')

    assert desk.transport.requests == []
    assert desk.at_rest


async def test_a_call_without_a_credential_is_the_operators_business(tasks: Tasks) -> None:
    desk = Desk(tasks, leases=ConfiguredLeases(None))
    with pytest.raises(Misconfigured):
        await desk.run()

    assert desk.at_rest


async def test_a_call_that_finds_no_place_is_refused(tasks: Tasks) -> None:
    desk = Desk(tasks, slots=Slots(1, 0, 1.0))
    desk.slots.take()
    with pytest.raises(Overloaded):
        await desk.run()

    assert desk.slots.running == 1
    assert desk.transport.requests == []


async def test_a_call_waits_for_its_place(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(), slots=Slots(1, 1, 1.0))
    desk.slots.take()
    waiting = desk.start()
    await settle()
    assert desk.slots.waiting == 1
    desk.slots.give_back()
    await waiting

    assert desk.client.status == 200
    assert desk.at_rest


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_that_asks_for_it_is_tried_again(tasks: Tasks, *, stream: bool) -> None:
    good = MemoryAnswer(body=STREAM) if stream else _whole()
    desk = Desk(tasks, _whole(429, BUSY), good)
    await desk.run(stream=stream)

    assert desk.observation.attempts == 2
    assert desk.client.status == 200
    assert len({request.body for request in desk.transport.requests}) == 1


async def test_an_error_in_the_first_event_is_tried_again(tasks: Tasks) -> None:
    desk = Desk(tasks, MemoryAnswer(body=b"data: " + BUSY + b"\n\n"), MemoryAnswer(body=STREAM))
    await desk.run(stream=True)

    assert desk.observation.attempts == 2
    assert checked(OPENAI, desk.client.body, OPENAI).text == "hi"


async def test_tries_end_with_the_last_refusal(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(429, BUSY), _whole(429, BUSY), retries=1)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert refusal.value.fault.upstream_code == "1302"
    assert desk.observation.upstream_code == "1302"
    assert desk.observation.attempts == 2
    assert desk.client.told == []
    assert desk.at_rest


async def test_a_refusal_for_good_is_not_tried_again(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(400, b'{"error":{"code":"1210","message":"bad"}}'))
    with pytest.raises(UpstreamRefused):
        await desk.run()

    assert desk.observation.attempts == 1


@pytest.mark.parametrize("coding", [b"gzip", b"unheard-of"])
async def test_a_refusal_may_come_compressed(tasks: Tasks, coding: bytes) -> None:
    body = gzip.compress(b'{"error":{"code":"1210","message":"bad"}}')
    desk = Desk(tasks, _whole(400, body, content_encoding=coding))
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert refusal.value.fault.upstream_code == ("1210" if coding == b"gzip" else None)
    assert refusal.value.fault.status == 400


async def test_only_the_beginning_of_an_endless_refusal_is_read(tasks: Tasks) -> None:
    answer = MemoryAnswer(400, JSON)
    desk = Desk(tasks, answer)
    call = desk.start()
    await settle()
    for _ in range(17):
        answer.data(b"x" * 64 * 1024)
    await settle()

    assert isinstance(call.exception(), UpstreamRefused)
    assert answer.closed


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_could_not_be_made_is_tried_again(tasks: Tasks, *, stream: bool) -> None:
    good = MemoryAnswer(body=STREAM) if stream else _whole()
    desk = Desk(tasks, ConnectFailed("refused"), good)
    await desk.run(stream=stream)

    assert desk.client.status == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CertificateInvalid("expired"), 502),
        (PoolTimeout("none free"), 503),
        (FirstByteTimeout("silence"), 504),
        (ConnectionLost("reset"), 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_may_have_been_acted_on_or_will_not_change_is_not_tried_again(
    tasks: Tasks, error: TransportError, status: int, *, stream: bool
) -> None:
    desk = Desk(tasks, error)
    with pytest.raises(UpstreamUnreachable) as failure:
        await desk.run(stream=stream)

    assert failure.value.fault.status == status
    assert desk.observation.attempts == 1
    assert desk.client.told == []
    assert desk.at_rest


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_breaks_off_is_not_tried_again(tasks: Tasks, *, stream: bool) -> None:
    answer = MemoryAnswer(headers=JSON)
    desk = Desk(tasks, answer)
    call = desk.start(stream=stream)
    await settle()
    answer.fail(ConnectionLost("reset"))
    await settle()

    failure = call.exception()
    assert isinstance(failure, GatewayError)
    assert failure.fault.status == 502
    assert desk.observation.attempts == 1
    assert answer.closed


async def test_a_stream_that_breaks_after_its_first_event_ends_with_an_event(tasks: Tasks) -> None:
    answer = MemoryAnswer()
    desk = Desk(tasks, answer)
    call = desk.start(client=ANTHROPIC, stream=True)
    await settle()
    answer.data(chunk({"content": "a"}))
    answer.fail(ConnectionLost("reset"))
    await call

    assert desk.observation.attempts == 1
    assert checked(ANTHROPIC, desk.client.body, OPENAI).error is not None
    assert desk.at_rest


async def test_a_failure_after_keep_alives_is_an_event(tasks: Tasks) -> None:
    answer = MemoryAnswer(429, JSON)
    desk = Desk(tasks, answer, retries=0, hold=0.0)
    call = desk.start(stream=True)
    await asyncio.sleep(0.05)
    assert desk.client.body.startswith(b": keep-alive")
    answer.data(BUSY)
    answer.end()
    await call

    assert desk.client.status == 200
    assert checked(OPENAI, desk.client.body, OPENAI).error is not None


async def test_another_credential_is_tried_at_once(tasks: Tasks) -> None:
    leases = RenewedLeases(1)
    denied = _whole(401, b'{"error":{"code":"1001","message":"who"}}')
    desk = Desk(tasks, denied, _whole(), leases=leases)
    await desk.run()

    first, second = desk.transport.requests
    assert (b"authorization", b"Bearer old.key") in list(first.headers)
    assert (b"authorization", b"Bearer new.key") in list(second.headers)
    assert desk.observation.credential_id == "old+"
    assert [fault.upstream_code for fault in leases.faults] == ["1001"]


async def test_credentials_are_changed_only_so_often(tasks: Tasks) -> None:
    denied = [_whole(401, b'{"error":{"code":"1001","message":"who"}}') for _ in range(4)]
    desk = Desk(tasks, *denied, leases=RenewedLeases(9))
    with pytest.raises(UpstreamRefused):
        await desk.run()

    assert len(desk.transport.requests) == 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("answer", [None, MemoryAnswer(), MemoryAnswer(429, JSON)], ids=["head", "body", "error"])
async def test_a_call_that_is_given_up_gives_everything_back(
    tasks: Tasks, answer: MemoryAnswer | None, *, stream: bool
) -> None:
    answer = answer and MemoryAnswer(answer.status, answer.headers)
    desk = Desk(tasks, answer)
    call = desk.start(stream=stream)
    await settle()
    assert desk.slots.running == 1
    call.cancel()
    await settle()

    assert call.cancelled()
    assert desk.at_rest
    assert answer.closed if answer else desk.transport.cancelled == 1


async def test_a_credential_that_its_upstream_refuses_for_a_while_is_named_to_the_leases(tasks: Tasks) -> None:
    leases = RenewedLeases(0)
    failures = [_whole(500, b"") for _ in range(5)]
    desk = Desk(tasks, *failures, leases=leases, retries=0)
    for _ in range(5):
        with pytest.raises(UpstreamRefused):
            await desk.run()
        assert leases.resting in ((), frozenset())
    with pytest.raises(Overloaded) as refusal:
        await desk.run()

    assert leases.resting == {"old"}
    assert refusal.value.fault.code == "upstream_resting"
    assert len(desk.transport.requests) == 5
    assert desk.at_rest


@pytest.mark.promise("P-64")
async def test_a_stream_that_the_process_cuts_ends_with_an_event(tasks: Tasks) -> None:
    answer = MemoryAnswer()
    desk = Desk(tasks, answer)
    call = desk.start(stream=True)
    await settle()
    answer.data(chunk({"role": "assistant", "content": "a"}))
    desk.keeper.end_all(draining(1.0))
    await call

    assert checked(OPENAI, desk.client.body, OPENAI).error is not None
    assert answer.closed
    assert desk.at_rest


@pytest.mark.promise("P-64")
async def test_a_held_stream_that_the_process_cuts_is_a_status(tasks: Tasks) -> None:
    desk = Desk(tasks, None)
    call = desk.start(stream=True)
    await settle()
    desk.keeper.end_all(draining(1.0))
    await settle()

    failure = call.exception()
    assert isinstance(failure, Overloaded)
    assert failure.fault.status == 503
    assert desk.transport.cancelled == 1
    assert desk.at_rest


async def test_a_client_that_left_is_not_told_of_the_cut(tasks: Tasks) -> None:
    desk = Desk(tasks, None)
    call = desk.start(stream=True)
    await settle()
    desk.downstream.gone = True
    desk.keeper.end_all(draining(1.0))
    await settle()

    assert call.cancelled()
    assert desk.at_rest
