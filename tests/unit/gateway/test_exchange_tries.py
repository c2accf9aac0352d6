"""Which failures of an upstream are tried again, with which credential, and how the last one is told."""

import asyncio
import gzip
from collections.abc import Collection

import pytest

from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.errors import GatewayError, Overloaded, UpstreamRefused, UpstreamUnreachable
from services.gateway.leases import Lease
from services.gateway.routing import UpstreamRoute
from services.gateway.translation.fault import Fault
from services.gateway.upstream.transport import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    FirstByteTimeout,
    PoolTimeout,
    TransportError,
)
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.exchange_desk import Desk
from tests.support.frames import chunk
from tests.support.memory_client import settle
from tests.support.memory_upstream import JSON, MemoryAnswer
from tests.support.small_answers import STREAM, whole

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


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_that_asks_for_it_is_tried_again(tasks: Tasks, *, stream: bool) -> None:
    good = MemoryAnswer(body=STREAM) if stream else whole()
    desk = Desk(tasks, whole(429, BUSY), good)
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
    desk = Desk(tasks, whole(429, BUSY), whole(429, BUSY), retries=1)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert refusal.value.fault.upstream_code == "1302"
    assert desk.observation.upstream_code == "1302"
    assert desk.observation.attempts == 2
    assert desk.client.told == []
    assert desk.at_rest


async def test_a_refusal_for_good_is_not_tried_again(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(400, b'{"error":{"code":"1210","message":"bad"}}'))
    with pytest.raises(UpstreamRefused):
        await desk.run()

    assert desk.observation.attempts == 1


@pytest.mark.parametrize("coding", [b"gzip", b"unheard-of"])
async def test_a_refusal_may_come_compressed(tasks: Tasks, coding: bytes) -> None:
    body = gzip.compress(b'{"error":{"code":"1210","message":"bad"}}')
    desk = Desk(tasks, whole(400, body, content_encoding=coding))
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
    good = MemoryAnswer(body=STREAM) if stream else whole()
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
    denied = whole(401, b'{"error":{"code":"1001","message":"who"}}')
    desk = Desk(tasks, denied, whole(), leases=leases)
    await desk.run()

    first, second = desk.transport.requests
    assert (b"authorization", b"Bearer old.key") in list(first.headers)
    assert (b"authorization", b"Bearer new.key") in list(second.headers)
    assert desk.observation.credential_id == "old+"
    assert [fault.upstream_code for fault in leases.faults] == ["1001"]


async def test_credentials_are_changed_only_so_often(tasks: Tasks) -> None:
    denied = [whole(401, b'{"error":{"code":"1001","message":"who"}}') for _ in range(4)]
    desk = Desk(tasks, *denied, leases=RenewedLeases(9))
    with pytest.raises(UpstreamRefused):
        await desk.run()

    assert len(desk.transport.requests) == 3


async def test_a_credential_that_its_upstream_refuses_for_a_while_is_named_to_the_leases(tasks: Tasks) -> None:
    leases = RenewedLeases(0)
    failures = [whole(500, b"") for _ in range(5)]
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
