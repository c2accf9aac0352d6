"""The walk of one call: route, lease, place, and what is given back whatever happens."""

import json

import pytest

from services.chassis.process import Tasks
from services.gateway.admission import Slots
from services.gateway.errors import Misconfigured, Overloaded
from services.gateway.leases import ConfiguredLeases
from services.gateway.translation.own_faults import draining
from services.gateway.translation.refusal import TranslationError
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI, small
from tests.support.exchange_desk import Desk
from tests.support.frames import chunk
from tests.support.memory_client import settle
from tests.support.memory_upstream import JSON, MemoryAnswer
from tests.support.small_answers import STREAM, whole


async def test_a_call_is_sent_with_its_route_lease_and_limits(tasks: Tasks) -> None:
    answer = whole()
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
    desk = Desk(tasks, whole())
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
    desk = Desk(tasks, whole(), slots=Slots(1, 1, 1.0))
    desk.slots.take()
    waiting = desk.start()
    await settle()
    assert desk.slots.waiting == 1
    desk.slots.give_back()
    await waiting

    assert desk.client.status == 200
    assert desk.at_rest


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
