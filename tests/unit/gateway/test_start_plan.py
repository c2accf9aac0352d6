"""The start plan's walk: passes, challenges, routes that moved, and no slot held while a person is waited for."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from services.captcha.contract import Outcome
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.delivery import DeliverySettings
from services.gateway.dialect import Dialect
from services.gateway.downstream import AsgiDownstream
from services.gateway.errors import CaptchaRequired, GatewayError, Overloaded, UpstreamRefused
from services.gateway.event_stream import Keeper
from services.gateway.exchange import ExchangeSettings
from services.gateway.format_memory import FormatMemory
from services.gateway.leases import ConfiguredLeases, Lease, Leases
from services.gateway.observation import Observation
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.start_plan import PARAM, REGION, StartPlanExchange, StartPlanNeeds
from services.gateway.translation.own_faults import captcha_required, draining
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.upstream.transport import (
    AnswerLimits,
    ConnectFailed,
    Timeouts,
    TransportError,
    UpstreamRequest,
)
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat
from tests.support.chat_sockets import checked
from tests.support.clock import ManualClock
from tests.support.dialects import ANTHROPIC, OPENAI, small
from tests.support.frames import DONE, chunk
from tests.support.memory_calls import client_call, observation, upstream_route
from tests.support.memory_client import MemoryClient, settle
from tests.support.memory_upstream import JSON, MemoryAnswer, MemoryTransport
from tests.support.passes import MemoryPasses, captcha_pass, plain_pass

ANSWERS = {
    OPENAI: {
        "id": "up-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
    ANTHROPIC: {
        "id": "up-1",
        "type": "message",
        "role": "assistant",
        "model": "glm-5.1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}
STREAM = chunk({"role": "assistant", "content": "hi"}) + chunk({}, "stop") + DONE
CHALLENGE = b'{"code":3007,"msg":"captcha verification required"}'
GONE = b'{"status":404,"error":"Not Found"}'
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


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks(lambda _name, _error: None) as made:
        yield made


def _whole(status: int = 200, body: Any = None, wire: WireFormat = OPENAI, **headers: bytes) -> MemoryAnswer:
    body = ANSWERS[wire] if body is None else body
    extra = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return MemoryAnswer(status, [*JSON, *extra], body if isinstance(body, bytes) else json.dumps(body).encode())


def _challenged() -> MemoryAnswer:
    return _whole(400, CHALLENGE)


def _captcha(request: UpstreamRequest) -> tuple[bytes | None, bytes | None]:
    headers = dict(request.headers)
    return headers.get(PARAM), headers.get(REGION)


# -- what goes out


async def test_a_call_goes_with_its_pass_and_the_operators_blocks(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole())
    await desk.run()

    [request] = desk.transport.requests
    assert (b"authorization", b"Bearer j.w.t") in list(request.headers)
    assert (None, None) == _captcha(request)
    assert not {b"x-query-id", b"x-session-id"} & {name for name, _ in request.headers}
    messages = json.loads(request.body)["messages"]
    assert [("system", "one"), ("system", "two"), ("user", "hi")] == [(m["role"], m["content"]) for m in messages]
    assert (200, "acc", "start-plan") == (desk.client.status, desk.observation.credential_id, desk.observation.plan)
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes
    assert desk.at_rest


async def test_on_the_anthropic_route_the_blocks_come_before_the_clients_own(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(wire=ANTHROPIC), setting=UpstreamFormat.ANTHROPIC)
    await desk.run(ANTHROPIC, json.dumps(small(ANTHROPIC, system="three")).encode())

    system = json.loads(desk.transport.requests[0].body)["system"]
    assert ["one", "two", "three"] == [block["text"] for block in system]


async def test_a_captcha_token_goes_unchanged_into_its_two_headers(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(), passes=MemoryPasses(captcha_pass("t/0+k=n")))
    await desk.run()

    assert (b"t/0+k=n", b"cn") == _captcha(desk.transport.requests[0])


async def test_a_call_that_cannot_be_translated_uses_no_pass_up(tasks: Tasks) -> None:
    desk = Desk(tasks)
    with pytest.raises(TranslationError):
        await desk.run(ANTHROPIC, b'{"model":"glm-5.1","max_tokens":1,"messages":7}')

    assert [] == desk.passes.tries
    assert desk.at_rest


# -- challenges


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "challenge",
    [
        lambda: _whole(400, CHALLENGE),
        lambda: _whole(403, CHALLENGE),
        lambda: _whole(403, b"", x_aliyun_captcha_verify_param=b"x"),
        lambda: _whole(200, b"", x_aliyun_captcha_verify_param=b"x"),
        lambda: _whole(200, CHALLENGE),
    ],
    ids=["400", "403", "header", "header under 200", "3007 under 200"],
)
async def test_a_challenge_is_answered_with_a_fresh_token(tasks: Tasks, challenge: Any, *, stream: bool) -> None:
    good = MemoryAnswer(body=STREAM) if stream else _whole()
    desk = Desk(tasks, challenge(), good, passes=MemoryPasses(plain_pass(), captcha_pass("token-1")))
    await desk.run(stream=stream)

    first, second = desk.transport.requests
    assert [(None, None), (b"token-1", b"cn")] == [_captcha(first), _captcha(second)]
    assert first.body == second.body
    assert [(0, False), (1, True)] == [(asked.number, asked.challenged) for asked in desk.passes.tries]
    assert {"req-1"} == {asked.request_id for asked in desk.passes.tries}
    outcomes = [(number, outcome) for number, outcome, _ in desk.passes.outcomes]
    assert (0, Outcome.CHALLENGED) in outcomes
    assert (1, Outcome.ACCEPTED) == outcomes[-1]
    assert 200 == desk.client.status
    assert desk.at_rest


async def test_an_empty_challenge_header_is_none(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(x_aliyun_captcha_verify_param=b""))
    await desk.run()

    assert (200, 1) == (desk.client.status, len(desk.transport.requests))


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_fresh_tokens_are_tried_so_often_and_then_the_page_is_named(tasks: Tasks, retries: int) -> None:
    given = [captcha_pass(f"token-{number}") for number in range(9)]
    desk = Desk(tasks, *(_challenged() for _ in range(9)), passes=MemoryPasses(*given), retries=retries)
    with pytest.raises(CaptchaRequired) as refusal:
        await desk.run()

    fault = refusal.value.fault
    assert (403, "captcha_required", "3007", 400) == (
        fault.status,
        fault.code,
        fault.upstream_code,
        fault.upstream_status,
    )
    assert MemoryPasses.page in fault.message
    assert retries + 1 == len(desk.transport.requests)
    tokens = [_captcha(request)[0] for request in desk.transport.requests]
    assert len(set(tokens)) == len(tokens)
    assert [Outcome.CAPTCHA_REFUSED] * (retries + 1) == [outcome for _, outcome, _ in desk.passes.outcomes]
    assert desk.at_rest


async def test_a_person_is_waited_for_so_long_in_all(tasks: Tasks) -> None:
    clock = ManualClock()
    passes = MemoryPasses(plain_pass(), captcha_pass("a"), captcha_pass("b"), on_obtain=lambda: clock.advance(15.0))
    desk = Desk(tasks, *(_challenged() for _ in range(9)), passes=passes, patience=40.0, clock=clock.monotonic)
    with pytest.raises(CaptchaRequired):
        await desk.run()

    assert [40.0, 25.0, 10.0] == [asked.wait for asked in passes.tries]


async def test_what_the_service_says_of_a_wait_in_vain_is_what_the_client_is_told(tasks: Tasks) -> None:
    late = CaptchaRequired(captcha_required("https://elsewhere.example/captcha"))
    desk = Desk(tasks, _challenged(), passes=MemoryPasses(plain_pass(), late))
    with pytest.raises(CaptchaRequired) as refusal:
        await desk.run()

    assert late is refusal.value
    assert desk.at_rest


@pytest.mark.parametrize("first", [True, False], ids=["before the first try", "after a challenge"])
async def test_no_slot_is_held_while_a_person_is_waited_for(tasks: Tasks, *, first: bool) -> None:
    passes = MemoryPasses(None) if first else MemoryPasses(plain_pass(), None)
    desk = Desk(tasks, _challenged(), passes=passes, slots=Slots(1, 0, 0.1))
    call = desk.start(stream=True)
    await settle()

    assert (1, 0) == (passes.waiting, desk.slots.running)
    call.cancel()
    await settle()
    assert call.cancelled()
    assert desk.at_rest


async def test_a_client_that_leaves_gives_its_wait_up(tasks: Tasks) -> None:
    desk = Desk(tasks, passes=MemoryPasses(None))
    call = desk.start(stream=True)
    await settle()
    call.cancel()
    await settle()

    assert [] == desk.transport.requests
    assert desk.at_rest


async def test_a_stream_that_waits_is_kept_alive_and_then_served(tasks: Tasks) -> None:
    released = asyncio.Event()

    class Slow(MemoryPasses):
        async def obtain(self, wanted: Any) -> Any:
            given = await super().obtain(wanted)
            await released.wait()
            return given

    desk = Desk(tasks, MemoryAnswer(body=STREAM), passes=Slow(captcha_pass("token-1")), hold=0.0)
    call = desk.start(stream=True)
    async with asyncio.timeout(5):
        while not desk.client.body:
            await asyncio.sleep(0.01)
    assert desk.client.body.startswith(b": keep-alive")
    released.set()
    await call

    assert "hi" == checked(OPENAI, desk.client.body, OPENAI).text


async def test_a_stream_that_was_kept_alive_in_vain_ends_with_an_event(tasks: Tasks) -> None:
    class Late(MemoryPasses):
        async def obtain(self, wanted: Any) -> Any:
            await asyncio.sleep(0.1)
            return await super().obtain(wanted)

    late = CaptchaRequired(captcha_required(MemoryPasses.page))
    desk = Desk(tasks, passes=Late(late), hold=0.0)
    await desk.run(ANTHROPIC, stream=True)

    seen = checked(ANTHROPIC, desk.client.body, OPENAI)
    assert seen.error is not None
    assert MemoryPasses.page in json.dumps(seen.error)
    assert 200 == desk.client.status


async def test_a_wait_that_the_process_cuts_is_a_status(tasks: Tasks) -> None:
    desk = Desk(tasks, passes=MemoryPasses(None))
    call = desk.start(stream=True)
    await settle()
    desk.keeper.end_all(draining(1.0))
    await settle()

    failure = call.exception()
    assert isinstance(failure, Overloaded)
    assert 503 == failure.fault.status
    assert desk.at_rest


async def test_a_token_that_was_used_is_not_sent_again_by_a_retry(tasks: Tasks) -> None:
    busy = b'{"error":{"code":"1302","message":"slow down"}}'
    desk = Desk(tasks, _whole(429, busy), _whole(), passes=MemoryPasses(captcha_pass("token-1")))
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert ("1302", 1) == (refusal.value.fault.upstream_code, len(desk.transport.requests))


async def test_a_token_that_was_not_sent_is_sent_by_the_retry(tasks: Tasks) -> None:
    desk = Desk(tasks, ConnectFailed("refused"), _whole(), passes=MemoryPasses(captcha_pass("token-1")))
    await desk.run()

    assert [b"token-1"] * 2 == [_captcha(request)[0] for request in desk.transport.requests]
    assert 1 == len(desk.passes.tries)


async def test_without_a_token_the_usual_retries_hold(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(503, b""), _whole())
    await desk.run()

    assert (200, 2, 1) == (desk.client.status, len(desk.transport.requests), len(desk.passes.tries))


# -- what else the upstream may say


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (405, b'{"code":3012,"msg":"method not allowed"}', "system_blocks_missing", "startPlan.systemBlocks"),
        (403, b'{"code":3012,"msg":"unusual activity"}', "account_under_risk_control", "risk control"),
        (401, b"", "start_plan_jwt_invalid", "zcode-proxy auth login"),
    ],
)
async def test_what_a_person_must_mend_is_said_once_and_not_tried_again(
    tasks: Tasks, status: int, body: bytes, code: str, words: str
) -> None:
    desk = Desk(tasks, _whole(status, body))
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    fault = refusal.value.fault
    assert (status, code) == (fault.status, fault.code)
    assert words in fault.message
    assert 1 == len(desk.transport.requests)
    expected = [(0, Outcome.JWT_REFUSED, None)] if status == 401 else []
    assert expected == desk.passes.outcomes


async def test_a_jwt_that_was_made_anew_is_tried_at_once(tasks: Tasks) -> None:
    class Renewed(ConfiguredLeases):
        async def after(self, fault: Any, lease: Lease, route: Any, model: str) -> Lease:
            assert ("acc", 3, "start_plan_jwt_invalid", "glm-5.1") == (
                lease.credential_id,
                lease.version,
                fault.code,
                model,
            )
            return Lease("acc", Secret("new.jwt"), None, 4)

    desk = Desk(tasks, _whole(401, b""), _whole(), leases=Renewed(None))
    await desk.run()

    credentials = [dict(request.headers)[b"authorization"] for request in desk.transport.requests]
    assert [b"Bearer j.w.t", b"Bearer new.jwt"] == credentials
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes


# -- routes that moved


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_route_that_is_gone_is_left_within_one_request_and_said_once(
    tasks: Tasks, client: WireFormat, caplog: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    formats = FormatMemory()
    for _ in range(2):
        formats.hear(OPENAI, 0.0, 0.0)  # over already
        desk = Desk(tasks, _whole(404, GONE), _whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats)
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
    desk = Desk(tasks, _whole(404, GONE), MemoryAnswer(), setting=UpstreamFormat.AUTO)
    call = desk.start(stream=True)
    await settle()

    assert not call.done()
    assert ANTHROPIC is desk.formats.working(time.monotonic())
    assert [(0, Outcome.ACCEPTED, ANTHROPIC)] == desk.passes.outcomes


async def test_what_was_learnt_is_used_by_the_next_request(tasks: Tasks) -> None:
    formats = FormatMemory()
    formats.learn(ANTHROPIC, time.monotonic())
    desk = Desk(tasks, _whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats)
    await desk.run()

    assert [b"/messages"] == [request.path for request in desk.transport.requests]
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes


async def test_a_route_that_came_back_is_found_when_the_other_one_goes(tasks: Tasks) -> None:
    formats = FormatMemory()
    formats.learn(ANTHROPIC, time.monotonic())
    desk = Desk(tasks, _whole(404, GONE), _whole(), setting=UpstreamFormat.AUTO, formats=formats)
    await desk.run()

    assert [b"/messages", b"/chat"] == [request.path for request in desk.transport.requests]
    assert OPENAI is formats.working(time.monotonic())


async def test_what_another_replica_learnt_comes_before_the_first_try(tasks: Tasks) -> None:
    formats = FormatMemory()
    passes = MemoryPasses(on_obtain=lambda: formats.hear(ANTHROPIC, time.monotonic(), 60.0))
    desk = Desk(tasks, _whole(wire=ANTHROPIC), setting=UpstreamFormat.AUTO, formats=formats, passes=passes)
    await desk.run()

    assert [b"/messages"] == [request.path for request in desk.transport.requests]
    assert (200, "anthropic") == (desk.client.status, desk.observation.upstream_format)


async def test_when_both_are_gone_the_base_is_named_and_nothing_is_learnt(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(404, GONE), _whole(404, GONE), setting=UpstreamFormat.AUTO)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    fault = refusal.value.fault
    assert (404, "start_plan_route_gone", 404) == (fault.status, fault.code, fault.upstream_status)
    assert "startPlan.base" in fault.message
    assert desk.formats.working(time.monotonic()) is None


@pytest.mark.parametrize("setting", [UpstreamFormat.OPENAI, UpstreamFormat.NATIVE])
async def test_a_fixed_format_is_not_left_and_the_setting_is_named(tasks: Tasks, setting: UpstreamFormat) -> None:
    desk = Desk(tasks, _whole(404, GONE), setting=setting)
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert 1 == len(desk.transport.requests)
    assert "startPlan.upstreamFormat" in refusal.value.fault.message


async def test_an_unknown_model_is_no_route_that_is_gone(tasks: Tasks) -> None:
    desk = Desk(tasks, _whole(404, b'{"error":{"code":"1211","message":"no such model"}}'), setting=UpstreamFormat.AUTO)
    with pytest.raises(GatewayError) as refusal:
        await desk.run()

    assert (1, "model_not_found") == (len(desk.transport.requests), refusal.value.fault.code)


async def test_a_moved_route_may_still_ask_for_a_captcha(tasks: Tasks) -> None:
    desk = Desk(
        tasks,
        _whole(404, GONE),
        _challenged(),
        _whole(wire=ANTHROPIC),
        setting=UpstreamFormat.AUTO,
        passes=MemoryPasses(plain_pass(), plain_pass(), captcha_pass("token-1")),
    )
    await desk.run()

    assert [b"/chat", b"/messages", b"/messages"] == [request.path for request in desk.transport.requests]
    assert [(0, False), (0, False), (1, True)] == [(asked.number, asked.challenged) for asked in desk.passes.tries]
    assert (b"token-1", b"cn") == _captcha(desk.transport.requests[2])
    assert ANTHROPIC is desk.formats.working(time.monotonic())
