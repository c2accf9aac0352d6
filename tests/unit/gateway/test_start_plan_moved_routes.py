"""A route of the start plan that is gone: left within one request, learnt, and said once."""

import json
import logging
import time

import pytest

from services.captcha.contract import Outcome
from services.chassis.process import Tasks
from services.gateway.errors import GatewayError, UpstreamRefused
from services.gateway.format_memory import FormatMemory
from services.gateway.routing import UpstreamFormat
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.memory_client import settle
from tests.support.memory_upstream import MemoryAnswer
from tests.support.passes import MemoryPasses, captcha_pass, plain_pass
from tests.support.small_answers import whole
from tests.support.start_plan_desk import Desk, captcha_headers, challenged

GONE = b'{"status":404,"error":"Not Found"}'


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_route_that_is_gone_is_left_within_one_request_and_said_once(
    tasks: Tasks, client: WireFormat, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    formats = FormatMemory()
    for _ in range(2):
        formats.hear(OPENAI, 0.0, 0.0)  # over already
        desk = Desk(tasks, whole(404, GONE), whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats)
        with caplog.at_level(logging.WARNING, "zcode.gateway"):
            await desk.run(client, stream=stream)

        first, second = desk.transport.requests
        assert (b"/chat", b"/messages") == (first.path, second.path)
        assert "max_tokens" in json.loads(second.body)
        assert (200, "anthropic") == (desk.client.status, desk.observation.upstream_format)
        assert [0, 0] == [asked.number for asked in desk.passes.tries]  # a 404 has used no token up
        assert [(0, Outcome.ACCEPTED, ANTHROPIC)] == desk.passes.outcomes

    [line] = [record.getMessage() for record in caplog.records if record.name == "zcode.gateway"]
    assert "startPlan.upstreamFormat: anthropic" in line


async def test_it_is_learnt_as_soon_as_the_live_route_begins_to_answer(tasks: Tasks) -> None:
    """Not at the end of a stream that may take minutes, while others ask the dead route."""
    desk = Desk(tasks, whole(404, GONE), MemoryAnswer(), setting=UpstreamFormat.AUTO)
    call = desk.start(stream=True)
    await settle()

    assert not call.done()
    assert ANTHROPIC is desk.formats.working(time.monotonic())
    assert [(0, Outcome.ACCEPTED, ANTHROPIC)] == desk.passes.outcomes


async def test_what_was_learnt_is_used_by_the_next_request(tasks: Tasks) -> None:
    formats = FormatMemory()
    formats.learn(ANTHROPIC, time.monotonic())
    desk = Desk(tasks, whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats)
    await desk.run()

    assert [b"/messages"] == [request.path for request in desk.transport.requests]
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes


async def test_a_route_that_came_back_is_found_when_the_other_one_goes(tasks: Tasks) -> None:
    formats = FormatMemory()
    formats.learn(ANTHROPIC, time.monotonic())
    desk = Desk(tasks, whole(404, GONE), whole(), setting=UpstreamFormat.AUTO, formats=formats)
    await desk.run()

    assert [b"/messages", b"/chat"] == [request.path for request in desk.transport.requests]
    assert OPENAI is formats.working(time.monotonic())


async def test_what_another_replica_learnt_comes_before_the_first_try(tasks: Tasks) -> None:
    formats = FormatMemory()
    passes = MemoryPasses(on_obtain=lambda: formats.hear(ANTHROPIC, time.monotonic(), 60.0))
    desk = Desk(tasks, whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats, passes=passes)
    await desk.run()

    assert [b"/messages"] == [request.path for request in desk.transport.requests]
    assert (200, "anthropic") == (desk.client.status, desk.observation.upstream_format)


async def test_when_both_are_gone_the_base_is_named_and_nothing_is_learnt(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(404, GONE), whole(404, GONE), setting=UpstreamFormat.AUTO)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    fault = refusal.value.fault
    assert (404, "start_plan_route_gone", 404) == (fault.status, fault.code, fault.upstream_status)
    assert "startPlan.base" in fault.message
    assert desk.formats.working(time.monotonic()) is None


@pytest.mark.parametrize("setting", [UpstreamFormat.OPENAI, UpstreamFormat.NATIVE])
async def test_a_fixed_format_is_not_left_and_the_setting_is_named(tasks: Tasks, setting: UpstreamFormat) -> None:
    desk = Desk(tasks, whole(404, GONE), setting=setting)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert 1 == len(desk.transport.requests)
    assert "startPlan.upstreamFormat" in refusal.value.fault.message


async def test_an_unknown_model_is_no_route_that_is_gone(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(404, b'{"error":{"code":"1211","message":"no such model"}}'), setting=UpstreamFormat.AUTO)
    with pytest.raises(GatewayError) as refusal:
        await desk.run()

    assert (1, "model_not_found") == (len(desk.transport.requests), refusal.value.fault.code)


async def test_a_moved_route_may_still_ask_for_a_captcha(tasks: Tasks) -> None:
    desk = Desk(
        tasks,
        whole(404, GONE),
        challenged(),
        whole(wire=ANTHROPIC),
        setting=UpstreamFormat.AUTO,
        passes=MemoryPasses(plain_pass(), plain_pass(), captcha_pass("token-1")),
    )
    await desk.run()

    assert [b"/chat", b"/messages", b"/messages"] == [request.path for request in desk.transport.requests]
    assert [(0, False), (0, False), (1, True)] == [(asked.number, asked.challenged) for asked in desk.passes.tries]
    assert (b"token-1", b"cn") == captcha_headers(desk.transport.requests[2])
    assert ANTHROPIC is desk.formats.working(time.monotonic())
