"""Start-plan passes in memory: what each try is given is said beforehand, and what was asked is kept."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from services.captcha.contract import Captcha, Outcome, Report, TokenAnswer, TokenRequest
from services.chassis.secret import Secret
from services.gateway.errors import GatewayError
from services.gateway.start_plan_passes import CaptchaToken, Pass, Try
from services.gateway.wire.formats import WireFormat

JWT = "j.w.t"


def plain_pass() -> Pass:
    """Return a pass with a JWT and nothing else."""
    return Pass("acc", Secret(JWT), None, 3)


def captcha_pass(param: str) -> Pass:
    """Return a pass with a captcha token."""
    return Pass("acc", Secret(JWT), None, 3, CaptchaToken(Secret(param), "cn"))


class MemoryPasses:
    """Implements `Passes`. An entry that is None makes its try wait until it is given up; an error is raised."""

    page = "https://captcha.example/captcha"

    def __init__(self, *given: Pass | GatewayError | None, on_obtain: Callable[[], None] = lambda: None) -> None:
        self._given = list(given)
        self._on_obtain = on_obtain
        self.tries: list[Try] = []
        self.outcomes: list[tuple[int, Outcome, WireFormat | None]] = []
        self.waiting = 0

    async def obtain(self, wanted: Try) -> Pass:
        self.tries.append(wanted)
        self._on_obtain()
        given = self._given.pop(0) if self._given else plain_pass()
        if isinstance(given, GatewayError):
            raise given
        if given is not None:
            return given
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.waiting -= 1
        raise AssertionError

    async def report(self, wanted: Try, given: Pass, outcome: Outcome, learnt: WireFormat | None = None) -> None:
        assert given.secret
        self.outcomes.append((wanted.number, outcome, learnt))


class MemoryCaptchas:
    """Implements `CaptchaService`: answers in order, and then the last one again."""

    def __init__(self, *answers: TokenAnswer | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[TokenRequest] = []
        self.reports: list[Report] = []
        self.refuses: Exception | None = None  # what a report is answered with

    async def token(self, request: TokenRequest) -> TokenAnswer:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def report(self, report: Report) -> None:
        self.reports.append(report)
        if self.refuses is not None:
            raise self.refuses


def token_answer(captcha: str | None = None, **fields: Any) -> TokenAnswer:
    """Return an answer of the service."""
    token = None if captcha is None else Captcha(param=captcha, region="cn")
    answer = TokenAnswer(jwt=JWT, credential_id="acc", version=3, user_id="user", captcha=token)
    return msgspec.structs.replace(answer, **fields)
