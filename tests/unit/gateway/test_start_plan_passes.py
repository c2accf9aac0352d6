"""What a try on the start plan is given, and what is told to whom when there is nothing to give."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.captcha import errors as captcha_errors
from services.captcha.contract import Outcome, TokenRequest
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.errors import CaptchaRequired, GatewayError, Misconfigured, Overloaded
from services.gateway.format_memory import FormatMemory
from services.gateway.leases import ConfiguredLeases
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.settings import GatewaySettings
from services.gateway.start_plan_passes import LeasedPasses, ServicePasses, Try, client_of, error_of, has_service
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.memory_calls import upstream_route
from tests.support.passes import JWT, MemoryCaptchas, plain_pass, token_answer

PAGE = "http://127.0.0.1:8082/captcha"


def _route() -> UpstreamRoute:
    return msgspec.structs.replace(upstream_route(OPENAI), plan=Plan.START)


def _try(*, challenged: bool = False, number: int = 0) -> Try:
    return Try(request_id="req-1", number=number, route=_route(), model="glm-5.1", challenged=challenged, wait=12.5)


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as made:
        yield made


def _passes(
    tasks: Tasks, service: MemoryCaptchas, jwt: str | None = None, formats: FormatMemory | None = None
) -> ServicePasses:
    leases = ConfiguredLeases(None if jwt is None else Secret(jwt))
    return ServicePasses(service, leases, tasks, formats or FormatMemory(), page=PAGE, own_jwt=jwt is not None)


async def test_without_a_service_the_configured_jwt_is_the_pass() -> None:
    passes = LeasedPasses(ConfiguredLeases(Secret(JWT)))
    given = await passes.obtain(_try())
    await passes.report(_try(), given, Outcome.ACCEPTED)

    assert (JWT, None, None) == (given.secret.reveal(), given.captcha, passes.page)


async def test_without_a_service_a_challenge_says_how_to_have_one() -> None:
    with pytest.raises(CaptchaRequired) as refusal:
        await LeasedPasses(ConfiguredLeases(Secret(JWT))).obtain(_try(challenged=True))

    fault = refusal.value.fault
    assert (403, "captcha_required", False) == (fault.status, fault.code, fault.should_retry)
    assert "zcode-proxy serve" in fault.message
    assert "captcha.address" in fault.message


async def test_without_a_jwt_there_is_no_pass() -> None:
    with pytest.raises(Misconfigured) as refusal:
        await LeasedPasses(ConfiguredLeases(None)).obtain(_try())

    assert "startPlan.jwt" in refusal.value.fault.message


async def test_the_service_is_told_all_it_must_know(tasks: Tasks) -> None:
    service = MemoryCaptchas(token_answer("token-1"))
    given = await _passes(tasks, service).obtain(_try(challenged=True, number=2))

    [request] = service.requests
    assert ("req-1", "zai", True, 12.5, 2) == (
        request.request_id,
        request.provider,
        request.challenged,
        request.wait,
        request.attempt,
    )
    assert (JWT, "acc", 3, "user") == (given.secret.reveal(), given.credential_id, given.version, given.user_id)
    assert given.captcha is not None
    assert ("token-1", "cn") == (given.captcha.param.reveal(), given.captcha.region)
    assert "token-1" not in repr(given)
    assert JWT not in repr(given)


async def test_a_jwt_of_the_configuration_wins_and_the_captcha_stays(tasks: Tasks) -> None:
    given = await _passes(tasks, MemoryCaptchas(token_answer("token-1")), jwt="own.jwt").obtain(_try())

    assert ("own.jwt", "config", 0) == (given.secret.reveal(), given.credential_id, given.version)
    assert given.captcha is not None


@pytest.mark.parametrize(
    "error", [captcha_errors.Unavailable("away"), captcha_errors.JwtInvalid("nobody is logged in")]
)
async def test_without_the_service_an_unchallenged_try_goes_with_what_is_at_hand(
    tasks: Tasks, error: captcha_errors.CaptchaError
) -> None:
    service = MemoryCaptchas(error)
    given = await _passes(tasks, service, jwt="own.jwt").obtain(_try())

    assert ("own.jwt", None) == (given.secret.reveal(), given.captcha)
    with pytest.raises(GatewayError):
        await _passes(tasks, service, jwt="own.jwt").obtain(_try(challenged=True))
    with pytest.raises(GatewayError):
        await _passes(tasks, service).obtain(_try())


@pytest.mark.parametrize("error", [captcha_errors.CaptchaRequired("late", page=PAGE), captcha_errors.QueueFull("full")])
async def test_what_wants_a_person_is_not_gone_around(tasks: Tasks, error: captcha_errors.CaptchaError) -> None:
    with pytest.raises(GatewayError):
        await _passes(tasks, MemoryCaptchas(error), jwt="own.jwt").obtain(_try())


@pytest.mark.parametrize(
    ("error", "kind", "status", "code", "words"),
    [
        (captcha_errors.CaptchaRequired("late", page=PAGE), CaptchaRequired, 403, "captcha_required", PAGE),
        (captcha_errors.QueueFull("full"), Overloaded, 503, "captcha_queue_full", "try again later"),
        (captcha_errors.Unavailable("away"), Overloaded, 503, "captcha_unavailable", "captcha.address"),
        (captcha_errors.JwtInvalid("no login"), Misconfigured, 401, "start_plan_jwt_invalid", "no login"),
        (captcha_errors.JwtInvalid("no login"), Misconfigured, 401, "start_plan_jwt_invalid", "auth login"),
        (captcha_errors.NotAuthenticated("who"), Misconfigured, 500, "captcha_misconfigured", "captcha.tokenFile"),
    ],
)
def test_every_error_of_the_service_tells_the_client_what_to_do(
    error: captcha_errors.CaptchaError, kind: type[GatewayError], status: int, code: str, words: str
) -> None:
    found = error_of(error)

    assert isinstance(found, kind)
    assert (status, code) == (found.fault.status, found.fault.code)
    assert words in found.fault.message


def test_a_wait_for_others_is_worth_a_retry_and_a_wait_for_a_person_is_not() -> None:
    full, away = error_of(captcha_errors.QueueFull("full")).fault, error_of(captcha_errors.Unavailable("away")).fault

    assert [(True, 10.0), (True, 10.0)] == [(fault.should_retry, fault.retry_after) for fault in (full, away)]
    assert error_of(captcha_errors.CaptchaRequired("late")).fault.should_retry is False


async def test_an_end_is_reported_without_waiting_for_the_service(tasks: Tasks) -> None:
    service = MemoryCaptchas(token_answer())
    passes = _passes(tasks, service)
    given = await passes.obtain(_try(number=1))
    await passes.report(_try(number=1), given, Outcome.ACCEPTED, ANTHROPIC)
    assert [] == service.reports
    await asyncio.sleep(0)

    [report] = service.reports
    assert ("req-1", "zai", "acc", 3, Outcome.ACCEPTED, 1, "anthropic") == (
        report.request_id,
        report.provider,
        report.credential_id,
        report.version,
        report.outcome,
        report.attempt,
        report.working_format,
    )


async def test_a_report_that_is_not_taken_disturbs_nobody() -> None:
    failures: list[str] = []
    service = MemoryCaptchas(token_answer())
    service.refuses = captcha_errors.Unavailable("away")
    async with Tasks(lambda name, _: failures.append(name)) as tasks:
        await _passes(tasks, service).report(_try(), plain_pass(), Outcome.CHALLENGED)
        await asyncio.sleep(0)

    assert ([Outcome.CHALLENGED], []) == ([report.outcome for report in service.reports], failures)


async def test_what_replicas_learnt_comes_with_an_answer(tasks: Tasks) -> None:
    formats = FormatMemory()
    service = MemoryCaptchas(token_answer(working_format="anthropic", working_seconds=300.0), token_answer())
    passes = _passes(tasks, service, formats=formats)
    await passes.obtain(_try())
    await passes.obtain(_try())

    now = asyncio.get_running_loop().time()
    assert ANTHROPIC is formats.working(now)
    assert formats.working(now + 301) is None


def _settings(address: str, plan: Plan = Plan.START, token_file: str | None = None) -> GatewaySettings:
    settings = GatewaySettings(plan=plan)
    captcha = msgspec.structs.replace(settings.captcha, address=address, token_file=token_file)
    return msgspec.structs.replace(settings, captcha=captcha)


def test_a_service_is_called_on_the_start_plan_where_it_is_not_in_this_process() -> None:
    assert has_service(_settings("unix:/run/zr/captcha.sock"))
    assert not has_service(_settings("unix:/run/zr/captcha.sock", Plan.CODING))
    assert not has_service(_settings("app:"))


async def test_the_client_is_made_as_the_settings_say(tmp_path: Path) -> None:
    for address, token_file in (("unix:/run/zr/captcha.sock", None), ("http://127.0.0.1:9", str(tmp_path / "t"))):
        client = client_of(_settings(address, token_file=token_file))
        with pytest.raises(captcha_errors.Unavailable):  # the token file is not there
            await client.token(TokenRequest(request_id="r", provider="zai"))
        await client.aclose()
