"""
A captcha in the middle: the request waits, the owner completes one on the page's interface, the request goes on.

The person here is a script that speaks to our own page as its browser would; no provider's challenge is involved.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest

from services.captcha.settings import CaptchaSettings
from services.chassis.secret import Secret
from services.gateway.wire.formats import WireFormat
from services.simulator.captcha import CaptchaBehaviour
from services.simulator.start_plan import StartPlanBehaviour
from tests.support.chat_sockets import checked
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, error_in, small
from tests.support.start_plan import SECONDS, StartPlan, running_start_plan, said

_TOKEN = "token-that-is-recognised-wherever-it-shows-up"
_UPSTREAM = {"openai": OPENAI, "anthropic": ANTHROPIC}


def _asked(client: WireFormat, *, stream: bool = False) -> dict[str, Any]:
    return small(client, "sim:text=Hello%20there", stream=stream)


def _challenge_next(plan: StartPlan, **fields: Any) -> None:
    plan.simulator.start_plan.behaviour = StartPlanBehaviour(challenges=1, **fields)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", _UPSTREAM)
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("form", ["400", "header"])
async def test_a_challenge_in_the_middle_is_released_by_the_owners_token(
    tmp_path: Path, client: WireFormat, upstream: str, form: str, *, stream: bool
) -> None:
    by: Literal["app", "http"] = "http" if form == "400" else "app"
    async with running_start_plan(tmp_path, upstream_format=upstream, by=by) as plan, client_of(plan.gateway) as http:
        before = await http.post(PATH[client], json=_asked(client, stream=stream))
        _challenge_next(plan, challenge_form=form)
        waiting = plan.calls.start(http.post(PATH[client], json=_asked(client, stream=stream)), name="call")
        await plan.person.asked()
        assert (2, 0) == (len(plan.upstream), plan.gateway.gateway.slots.running)
        await plan.person.complete(_TOKEN)
        released = await waiting

    assert (200, 200) == (before.status_code, released.status_code), released.text
    assert "Hello there" == said(client, released.content, _UPSTREAM[upstream], stream=stream)
    assert [None, None, _TOKEN] == plan.tokens
    assert plan.upstream[1].body == plan.upstream[2].body
    assert b"sgp" == plan.upstream[2].header(b"x-aliyun-captcha-verify-region")


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_stream_is_kept_alive_while_the_owner_is_waited_for(tmp_path: Path, client: WireFormat) -> None:
    changes = {"limits": {"hold_headers": 0.05, "ping": 0.05, "drain": 0.5}}
    async with (
        running_start_plan(tmp_path, challenges=1, changes=changes) as plan,
        client_of(plan.gateway) as http,
        http.stream("POST", PATH[client], json=_asked(client, stream=True)) as answer,
    ):
        body = b""
        parts = answer.aiter_bytes()
        while body.count(b": keep-alive\n\n") < 3:
            body += await anext(parts)
        assert b"data:" not in body
        await plan.person.complete(_TOKEN)
        async for part in parts:
            body += part

    assert 200 == answer.status_code
    assert "Hello there" == checked(client, body, OPENAI).text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by", ["app", "http"])
async def test_a_client_that_leaves_leaves_the_line(
    tmp_path: Path, by: Literal["app", "http"], *, stream: bool
) -> None:
    async with running_start_plan(tmp_path, by=by, challenges=1) as plan, client_of(plan.gateway) as http:
        waiting = plan.calls.start(http.post(PATH[OPENAI], json=_asked(OPENAI, stream=stream)), name="call")
        await plan.person.asked()
        waiting.cancel()
        await plan.person.asked(0)
        await plan.person.complete(_TOKEN)
        after = await http.post(PATH[OPENAI], json=_asked(OPENAI))

    assert 200 == after.status_code
    assert [None, _TOKEN] == plan.tokens  # the one that left has not taken it
    assert len(plan.gateway.gateway.keeper) == 0


async def test_tokens_go_to_those_who_wait_in_the_order_of_their_coming(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path, challenge=True) as plan, client_of(plan.gateway) as http:
        waiting = []
        for number in range(3):
            body = _asked(OPENAI) | {"user": f"caller-{number}"}
            waiting.append(plan.calls.start(http.post(PATH[OPENAI], json=body), name="call"))
            await plan.person.asked(number + 1)
        for number in range(3):
            await plan.person.complete(f"token-{number}")
        answers = await asyncio.gather(*waiting)

    assert [200, 200, 200] == [answer.status_code for answer in answers]
    used = {json.loads(request.body)["user"]: token for request, token in zip(plan.upstream, plan.tokens, strict=True)}
    assert {f"caller-{number}": f"token-{number}" for number in range(3)} == used


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_when_nobody_comes_the_client_is_told_where_to_go(
    tmp_path: Path, client: WireFormat, *, stream: bool
) -> None:
    changes = {"captcha": {"timeout_ms": 200}}
    async with running_start_plan(tmp_path, challenges=1, changes=changes) as plan, client_of(plan.gateway) as http:
        answer = await http.post(PATH[client], json=_asked(client, stream=stream))
        await plan.person.asked(0)

    shown = error_in(client, answer)
    assert (403, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert "http://127.0.0.1:8082/captcha" in shown.message
    assert ("permission_error" if client is ANTHROPIC else "invalid_request_error") == shown.type
    assert (None if client is ANTHROPIC else "captcha_required") == shown.code
    assert [None] == plan.tokens


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_stream_that_was_kept_alive_is_told_by_an_event(tmp_path: Path, client: WireFormat) -> None:
    changes = {"captcha": {"timeout_ms": 600}, "limits": {"hold_headers": 0.05, "ping": 0.05, "drain": 0.5}}
    async with running_start_plan(tmp_path, challenges=1, changes=changes) as plan, client_of(plan.gateway) as http:
        answer = await http.post(PATH[client], json=_asked(client, stream=True))

    seen = checked(client, answer.content, OPENAI)
    assert 200 == answer.status_code
    assert "http://127.0.0.1:8082/captcha" in json.dumps(seen.error)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_full_line_refuses_at_once(tmp_path: Path, client: WireFormat) -> None:
    async with (
        running_start_plan(tmp_path, challenge=True, captcha=CaptchaSettings(queue=1)) as plan,
        client_of(plan.gateway) as http,
    ):
        waiting = plan.calls.start(http.post(PATH[client], json=_asked(client)), name="call")
        await plan.person.asked()
        answer = await http.post(PATH[client], json=_asked(client))
        await plan.person.complete(_TOKEN)
        first = await waiting

    shown = error_in(client, answer)
    assert (529 if client is ANTHROPIC else 503, "true") == (answer.status_code, answer.headers["x-should-retry"])
    assert int(answer.headers["retry-after"]) > 0
    assert (None if client is ANTHROPIC else "captcha_queue_full") == shown.code
    assert 200 == first.status_code


async def test_refused_tokens_are_replaced_so_often_and_no_more(tmp_path: Path) -> None:
    async with (
        running_start_plan(tmp_path, challenge=True, changes={"captcha": {"retries": 2}}) as plan,
        client_of(plan.gateway) as http,
    ):
        call = plan.calls.start(http.post(PATH[OPENAI], json=_asked(OPENAI)), name="call")
        for number in range(2):
            await plan.person.asked()
            await plan.person.complete(f"bad-{number}")
        answer = await call

    assert (403, "3007") == (answer.status_code, answer.headers["x-zcode-upstream-code"])
    assert "captcha_required" == error_in(OPENAI, answer).code
    assert [None, "bad-0", "bad-1"] == plan.tokens


async def test_a_token_made_beforehand_goes_with_the_first_try(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path, challenge=True) as plan, client_of(plan.gateway) as http:
        await plan.person.complete(_TOKEN)
        answer = await http.post(PATH[OPENAI], json=_asked(OPENAI))

    assert 200 == answer.status_code
    assert [_TOKEN] == plan.tokens


async def test_where_the_provider_wants_none_for_models_none_is_sent(tmp_path: Path) -> None:
    async with running_start_plan(tmp_path) as plan, client_of(plan.gateway) as http:
        plan.simulator.captcha.behaviour = CaptchaBehaviour(skip_model_request=True)
        await plan.person.complete(_TOKEN)
        answer = await http.post(PATH[OPENAI], json=_asked(OPENAI))

    assert (200, [None]) == (answer.status_code, plan.tokens)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_without_the_service_a_challenge_is_answered_with_what_is_wrong(
    tmp_path: Path, client: WireFormat
) -> None:
    async with (
        running_start_plan(tmp_path, by="http", start_plan={"jwt": Secret("own.jwt.x")}) as plan,
        client_of(plan.gateway) as http,
    ):
        await plan.captcha.server.stop()
        served = await http.post(PATH[client], json=_asked(client))
        _challenge_next(plan)
        refused = await http.post(PATH[client], json=_asked(client))

    assert 200 == served.status_code, served.text
    assert b"Bearer own.jwt.x" == plan.upstream[0].header(b"authorization")
    assert 503 == refused.status_code
    assert "captcha.address" in error_in(client, refused).message


async def test_a_token_shows_up_in_no_log_and_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with running_start_plan(tmp_path, challenge=True, by="http") as plan, client_of(plan.gateway) as http:
        await plan.person.complete(_TOKEN)
        served = await http.post(PATH[OPENAI], json=_asked(OPENAI))
        again = StartPlanBehaviour(challenge=True, system_text="wanted")
        plan.simulator.start_plan.behaviour = again
        await plan.person.complete(f"{_TOKEN}-2")
        refused = await http.post(PATH[OPENAI], json=_asked(OPENAI))
        async with httpx2.AsyncClient(trust_env=False, timeout=SECONDS) as admin:
            metrics = await admin.get(f"{plan.gateway.admin_url}/metrics")

    assert (200, 405) == (served.status_code, refused.status_code)
    assert [_TOKEN, f"{_TOKEN}-2"] == plan.tokens
    for place in (caplog.text, metrics.text, served.text, refused.text, str(served.headers), str(refused.headers)):
        assert _TOKEN not in place
