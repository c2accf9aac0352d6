"""The start plan's walk: passes, challenges, and no slot held while a person is waited for."""

import asyncio
import json
from typing import Any

import pytest

from services.captcha.contract import Outcome
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.errors import CaptchaRequired, Overloaded, UpstreamRefused
from services.gateway.leases import ConfiguredLeases, Lease
from services.gateway.routing import UpstreamFormat
from services.gateway.translation.own_faults import captcha_required, draining
from services.gateway.translation.refusal import TranslationError
from services.gateway.upstream.transport import ConnectFailed
from tests.support.chat_sockets import checked
from tests.support.clock import ManualClock
from tests.support.dialects import ANTHROPIC, OPENAI, small
from tests.support.memory_client import settle
from tests.support.memory_upstream import MemoryAnswer
from tests.support.passes import MemoryPasses, captcha_pass, plain_pass
from tests.support.small_answers import STREAM, whole
from tests.support.start_plan_desk import CHALLENGE, Desk, captcha_headers, challenged

# -- what goes out


async def test_a_call_goes_with_its_pass_and_the_operators_blocks(tasks: Tasks) -> None:
    desk = Desk(tasks, whole())
    await desk.run()

    [request] = desk.transport.requests
    assert (b"authorization", b"Bearer j.w.t") in list(request.headers)
    assert (None, None) == captcha_headers(request)
    assert not {b"x-query-id", b"x-session-id"} & {name for name, _ in request.headers}
    messages = json.loads(request.body)["messages"]
    assert [("system", "one"), ("system", "two"), ("user", "hi")] == [(m["role"], m["content"]) for m in messages]
    assert (200, "acc", "start-plan") == (desk.client.status, desk.observation.credential_id, desk.observation.plan)
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes
    assert desk.at_rest


async def test_on_the_anthropic_route_the_blocks_come_before_the_clients_own(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(wire=ANTHROPIC), setting=UpstreamFormat.ANTHROPIC)
    await desk.run(ANTHROPIC, json.dumps(small(ANTHROPIC, system="three")).encode())

    system = json.loads(desk.transport.requests[0].body)["system"]
    assert ["one", "two", "three"] == [block["text"] for block in system]


async def test_a_captcha_token_goes_unchanged_into_its_two_headers(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(), passes=MemoryPasses(captcha_pass("t/0+k=n")))
    await desk.run()

    assert (b"t/0+k=n", b"cn") == captcha_headers(desk.transport.requests[0])


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
        lambda: whole(400, CHALLENGE),
        lambda: whole(403, CHALLENGE),
        lambda: whole(403, b"", x_aliyun_captcha_verify_param=b"x"),
        lambda: whole(200, b"", x_aliyun_captcha_verify_param=b"x"),
        lambda: whole(200, CHALLENGE),
    ],
    ids=["400", "403", "header", "header under 200", "3007 under 200"],
)
async def test_a_challenge_is_answered_with_a_fresh_token(tasks: Tasks, challenge: Any, *, stream: bool) -> None:
    good = MemoryAnswer(body=STREAM) if stream else whole()
    desk = Desk(tasks, challenge(), good, passes=MemoryPasses(plain_pass(), captcha_pass("token-1")))
    await desk.run(stream=stream)

    first, second = desk.transport.requests
    assert [(None, None), (b"token-1", b"cn")] == [captcha_headers(first), captcha_headers(second)]
    assert first.body == second.body
    assert [(0, False), (1, True)] == [(asked.number, asked.challenged) for asked in desk.passes.tries]
    assert {"req-1"} == {asked.request_id for asked in desk.passes.tries}
    outcomes = [(number, outcome) for number, outcome, _ in desk.passes.outcomes]
    assert (0, Outcome.CHALLENGED) in outcomes
    assert (1, Outcome.ACCEPTED) == outcomes[-1]
    assert 200 == desk.client.status
    assert desk.at_rest


async def test_an_empty_challenge_header_is_none(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(x_aliyun_captcha_verify_param=b""))
    await desk.run()

    assert (200, 1) == (desk.client.status, len(desk.transport.requests))


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_fresh_tokens_are_tried_so_often_and_then_the_page_is_named(tasks: Tasks, retries: int) -> None:
    given = [captcha_pass(f"token-{number}") for number in range(9)]
    desk = Desk(tasks, *(challenged() for _ in range(9)), passes=MemoryPasses(*given), retries=retries)
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
    tokens = [captcha_headers(request)[0] for request in desk.transport.requests]
    assert len(set(tokens)) == len(tokens)
    assert [Outcome.CAPTCHA_REFUSED] * (retries + 1) == [outcome for _, outcome, _ in desk.passes.outcomes]
    assert desk.at_rest


async def test_a_person_is_waited_for_so_long_in_all(tasks: Tasks) -> None:
    clock = ManualClock()
    passes = MemoryPasses(plain_pass(), captcha_pass("a"), captcha_pass("b"), on_obtain=lambda: clock.advance(15.0))
    desk = Desk(tasks, *(challenged() for _ in range(9)), passes=passes, patience=40.0, clock=clock.monotonic)
    with pytest.raises(CaptchaRequired):
        await desk.run()

    assert [40.0, 25.0, 10.0] == [asked.wait for asked in passes.tries]


async def test_what_the_service_says_of_a_wait_in_vain_is_what_the_client_is_told(tasks: Tasks) -> None:
    late = CaptchaRequired(captcha_required("https://elsewhere.example/captcha"))
    desk = Desk(tasks, challenged(), passes=MemoryPasses(plain_pass(), late))
    with pytest.raises(CaptchaRequired) as refusal:
        await desk.run()

    assert late is refusal.value
    assert desk.at_rest


@pytest.mark.parametrize("first", [True, False], ids=["before the first try", "after a challenge"])
async def test_no_slot_is_held_while_a_person_is_waited_for(tasks: Tasks, *, first: bool) -> None:
    passes = MemoryPasses(None) if first else MemoryPasses(plain_pass(), None)
    desk = Desk(tasks, challenged(), passes=passes, slots=Slots(1, 0, 0.1))
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
    desk = Desk(tasks, whole(429, busy), whole(), passes=MemoryPasses(captcha_pass("token-1")))
    with pytest.raises(UpstreamRefused) as refusal:
        await desk.run()

    assert ("1302", 1) == (refusal.value.fault.upstream_code, len(desk.transport.requests))


async def test_a_token_that_was_not_sent_is_sent_by_the_retry(tasks: Tasks) -> None:
    desk = Desk(tasks, ConnectFailed("refused"), whole(), passes=MemoryPasses(captcha_pass("token-1")))
    await desk.run()

    assert [b"token-1"] * 2 == [captcha_headers(request)[0] for request in desk.transport.requests]
    assert 1 == len(desk.passes.tries)


async def test_without_a_token_the_usual_retries_hold(tasks: Tasks) -> None:
    desk = Desk(tasks, whole(503, b""), whole())
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
    desk = Desk(tasks, whole(status, body))
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

    desk = Desk(tasks, whole(401, b""), whole(), leases=Renewed(None))
    await desk.run()

    credentials = [dict(request.headers)[b"authorization"] for request in desk.transport.requests]
    assert [b"Bearer j.w.t", b"Bearer new.jwt"] == credentials
    assert [(0, Outcome.ACCEPTED, None)] == desk.passes.outcomes
