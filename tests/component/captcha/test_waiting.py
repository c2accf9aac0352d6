"""
Requests that wait for a person: in order, in time, and gone when their client is gone.

Shown to fail once by: leaving nobody out of the line who went away; ringing nobody when a token comes; giving the
configuration precedence over a challenge.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.captcha.client import CaptchaService
from services.captcha.contract import Captcha, Outcome, Report, TokenAnswer
from services.captcha.errors import CaptchaRequired, Invalid, JwtInvalid, NotAuthenticated, QueueFull, Unavailable
from services.captcha.settings import CaptchaSettings
from services.chassis.peer.token_file import generate
from services.simulator.captcha import CaptchaBehaviour
from tests.support.captcha import JWT, PROVIDER, RunningCaptcha, request, running_captcha
from tests.support.clock import ManualClock

ACCOUNT = "configured"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningCaptcha]:
    async with running_captcha(tmp_path, CaptchaSettings(queue=3)) as running:
        yield running


@pytest.fixture(params=["app", "http"])
async def service(running: RunningCaptcha, request: pytest.FixtureRequest) -> AsyncIterator[CaptchaService]:
    """The issuer itself, and by way of HTTP."""
    if request.param == "app":
        yield running.issuer
        return
    async with contextlib.aclosing(running.client()) as client:
        yield client


async def put(running: RunningCaptcha, number: int) -> None:
    assert await running.bank.put(ACCOUNT, Captcha(param=f"param-{number}", region="sgp"))


async def in_line(running: RunningCaptcha, count: int) -> None:
    async with asyncio.timeout(60):
        while (await running.bank.standing(ACCOUNT)).waiting != count:
            await asyncio.sleep(0.01)


def param_of(answer: TokenAnswer) -> str:
    assert answer.captcha is not None
    return answer.captcha.param


async def test_an_answer_tells_the_account_and_its_age(running: RunningCaptcha, service: CaptchaService) -> None:
    await put(running, 1)
    answer = await service.token(request())

    assert (answer.jwt, answer.jwt_issued_at, answer.credential_id) == (JWT, 1_760_000_000, ACCOUNT)
    assert answer.captcha == Captcha(param="param-1", region="sgp")
    assert answer.expires_at is not None


async def test_a_waiting_request_is_released_by_a_token(running: RunningCaptcha, service: CaptchaService) -> None:
    waiting = asyncio.ensure_future(service.token(request(wait=60)))
    await in_line(running, 1)
    await put(running, 1)
    async with asyncio.timeout(60):
        assert param_of(await waiting) == "param-1"


async def test_who_waits_is_counted_while_no_page_is_open(running: RunningCaptcha) -> None:
    """The alert that somebody has to come looks at this."""
    registry, labels = running.service.registry, {"provider": PROVIDER}
    waiting = asyncio.ensure_future(running.issuer.token(request(wait=60)))
    async with asyncio.timeout(60):
        while registry.get_sample_value("zcode_captcha_waiting", labels) != 1:
            await asyncio.sleep(0.05)
        await put(running, 1)
        await waiting

    assert registry.get_sample_value("zcode_captcha_answers_total", {"end": "banked"}) == 1


async def test_requests_are_served_in_the_order_in_which_they_came(
    running: RunningCaptcha, service: CaptchaService
) -> None:
    waiting = []
    for number in range(3):
        waiting.append(asyncio.ensure_future(service.token(request(number, wait=60))))
        await in_line(running, number + 1)
    for number in range(3):
        await put(running, number)
        async with asyncio.timeout(60):
            assert param_of(await waiting[number]) == f"param-{number}"


async def test_nobody_waits_longer_than_was_said(running: RunningCaptcha, service: CaptchaService) -> None:
    with pytest.raises(CaptchaRequired, match="owner") as refused:
        await service.token(request(wait=0.2))

    assert refused.value.page == "http://127.0.0.1:8082/captcha"
    await in_line(running, 0)


async def test_without_time_there_is_no_waiting(running: RunningCaptcha, service: CaptchaService) -> None:
    with pytest.raises(CaptchaRequired):
        await service.token(request(wait=0))


async def test_a_full_line_refuses_at_once(running: RunningCaptcha, service: CaptchaService) -> None:
    waiting = [asyncio.ensure_future(service.token(request(number, wait=60))) for number in range(3)]
    await in_line(running, 3)
    async with asyncio.timeout(30):
        with pytest.raises(QueueFull):
            await service.token(request(9, wait=60))
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await in_line(running, 0)


@pytest.mark.parametrize("way", ["app", "http"])
async def test_who_goes_away_leaves_the_line(tmp_path: Path, way: str) -> None:
    """At once, and not when the place lapses: here no time passes."""
    async with (
        running_captcha(tmp_path, clock=ManualClock()) as running,
        contextlib.aclosing(running.client()) as client,
    ):
        service: CaptchaService = running.issuer if way == "app" else client
        leaver = asyncio.ensure_future(service.token(request(1, wait=60)))
        await in_line(running, 1)
        stayer = asyncio.ensure_future(service.token(request(2, wait=60)))
        await in_line(running, 2)
        leaver.cancel()
        await in_line(running, 1)
        await put(running, 7)
        async with asyncio.timeout(60):
            assert param_of(await stayer) == "param-7"


async def test_the_same_try_gets_the_same_token_and_the_next_try_another(
    running: RunningCaptcha, service: CaptchaService
) -> None:
    await put(running, 1)
    await put(running, 2)
    first, again = await service.token(request()), await service.token(request())

    assert param_of(first) == param_of(again) == "param-1"
    assert param_of(await service.token(request(attempt=1))) == "param-2"


async def test_a_banked_token_is_sent_where_the_provider_asks_for_one(
    running: RunningCaptcha, service: CaptchaService
) -> None:
    assert (await service.token(request(1, challenged=False))).captcha is None
    await put(running, 1)
    assert param_of(await service.token(request(2, challenged=False))) == "param-1"


async def test_none_is_sent_where_the_provider_wants_none(running: RunningCaptcha, service: CaptchaService) -> None:
    running.simulator.captcha.behaviour = CaptchaBehaviour(skip_model_request=True)
    await put(running, 1)

    assert (await service.token(request(1, challenged=False, wait=60))).captcha is None
    assert param_of(await service.token(request(2, challenged=True))) == "param-1"


async def test_a_challenge_is_remembered(running: RunningCaptcha, service: CaptchaService) -> None:
    with pytest.raises(CaptchaRequired):
        await service.token(request(1))
    waiting = asyncio.ensure_future(service.token(request(2, challenged=False, wait=60)))
    await in_line(running, 1)
    await put(running, 1)
    async with asyncio.timeout(60):
        assert param_of(await waiting) == "param-1"


def report(outcome: Outcome) -> Report:
    return Report(request_id="r", provider=PROVIDER, credential_id=ACCOUNT, version=0, outcome=outcome)


async def test_the_second_refused_token_in_a_row_empties_the_bank(
    running: RunningCaptcha, service: CaptchaService
) -> None:
    await put(running, 1)
    await service.report(report(Outcome.CAPTCHA_REFUSED))
    await service.report(report(Outcome.ACCEPTED))
    await service.report(report(Outcome.CAPTCHA_REFUSED))
    assert len((await running.bank.standing(ACCOUNT)).lives) == 1
    await service.report(report(Outcome.CAPTCHA_REFUSED))

    assert (await running.bank.standing(ACCOUNT)).lives == ()


async def test_a_working_format_is_handed_on(running: RunningCaptcha, service: CaptchaService) -> None:
    told = Report(
        request_id="r",
        provider=PROVIDER,
        credential_id="config",  # as a gateway calls the JWT of the settings
        version=0,
        outcome=Outcome.ACCEPTED,
        working_format="openai",
    )
    await service.report(told)
    answer = await service.token(request(challenged=False))

    assert (answer.working_format, answer.working_seconds > 500) == ("openai", True)


async def test_a_refused_jwt_of_the_settings_is_taken_note_of(service: CaptchaService) -> None:
    await service.report(report(Outcome.JWT_REFUSED))


@pytest.mark.parametrize("name", ["", "x" * 129, "é", "a\nb"])
async def test_a_request_must_have_a_proper_name(service: CaptchaService, name: str) -> None:
    wanted = request()
    with pytest.raises(Invalid, match="requestId"):
        await service.token(type(wanted)(request_id=name, provider=PROVIDER))


async def test_without_a_login_nobody_waits(tmp_path: Path) -> None:
    async with running_captcha(tmp_path, jwt=None) as running, contextlib.aclosing(running.client()) as client:
        for service in (running.issuer, client):
            with pytest.raises(JwtInvalid, match="zcode-proxy auth login zai"):
                await service.token(request(wait=60))


async def test_a_process_that_ends_lets_everybody_go(running: RunningCaptcha, service: CaptchaService) -> None:
    waiting = asyncio.ensure_future(service.token(request(wait=60)))
    await in_line(running, 1)
    running.service.end_waits()
    async with asyncio.timeout(30):
        with pytest.raises(CaptchaRequired):
            await waiting


async def test_a_stranger_gets_nothing(running: RunningCaptcha, tmp_path: Path) -> None:
    generate(tmp_path / "other")
    running.tokens = tmp_path / "other"
    async with contextlib.aclosing(running.client()) as client:
        with pytest.raises(NotAuthenticated):
            await client.token(request())
        with pytest.raises(NotAuthenticated):
            await client.report(report(Outcome.ACCEPTED))


async def test_a_service_that_is_away_is_told_apart(running: RunningCaptcha) -> None:
    async with contextlib.aclosing(running.client()) as client:
        await running.server.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            await client.token(request())
