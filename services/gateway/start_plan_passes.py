"""
What a try on the start plan is called with: the port, and how it is had without and with the captcha service.

A pass is the account's JWT and, where the provider wants one, a captcha token that a person has made. It is good for
one try. `obtain` may wait for that person as long as the asker says; a cancelled one leaves the queue.
"""

import contextlib
import time
from typing import Final, Protocol

import msgspec

from services.captcha import errors as captcha_errors
from services.captcha.client import CaptchaClient, CaptchaService, trust_of
from services.captcha.contract import Outcome, Report, TokenAnswer, TokenRequest, WorkingFormat
from services.captcha.settings import peer_token_path
from services.chassis.peer.token_file import TokenFile
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.errors import CaptchaRequired, GatewayError, Misconfigured, Overloaded
from services.gateway.format_memory import FormatMemory
from services.gateway.leases import Lease, Leases
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.settings import GatewaySettings
from services.gateway.translation.own_faults import (
    captcha_queue_full,
    captcha_required,
    captcha_unavailable,
    misconfigured,
    start_plan_jwt_invalid,
)
from services.gateway.wire.formats import WireFormat

_WORKING: Final[dict[WireFormat, WorkingFormat]] = {WireFormat.OPENAI: "openai", WireFormat.ANTHROPIC: "anthropic"}


class CaptchaToken(msgspec.Struct, frozen=True):
    """What one person made for one try."""

    param: Secret
    region: str


class Pass(Lease, frozen=True):
    """A lease for one try."""

    captcha: CaptchaToken | None = None


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One try of one request. The same id and number get the same token."""

    request_id: str
    number: int
    route: UpstreamRoute
    model: str
    challenged: bool  # the upstream has just asked this very request for a captcha
    wait: float  # seconds that are left for a person


class Passes(Protocol):
    """Hands out passes."""

    async def obtain(self, wanted: Try) -> Pass:
        """Return what to send, waiting for a person where one is needed; raises a GatewayError."""

    async def report(self, wanted: Try, given: Pass, outcome: Outcome, learnt: WireFormat | None = None) -> None:
        """Say how the try ended, and in which format where the other one's route is gone. Raises nothing."""

    @property
    def page(self) -> str | None:
        """Where a person completes captchas, if that is known."""


class LeasedPasses:
    """Passes where there is no captcha service: the JWT alone, and an explanation when the provider wants more."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases

    async def obtain(self, wanted: Try) -> Pass:
        """Return the JWT."""
        if wanted.challenged:
            raise CaptchaRequired(captcha_required(None))
        return _pass_of(self._leases.current(wanted.route, wanted.model))

    async def report(self, wanted: Try, given: Pass, outcome: Outcome, learnt: WireFormat | None = None) -> None:
        """Tell nobody."""

    @property
    def page(self) -> None:
        """There is no page."""


class ServicePasses:
    """Passes of the captcha service. A JWT of the configuration wins over the one that the service knows."""

    def __init__(
        self,
        service: CaptchaService,
        leases: Leases,
        tasks: Tasks,
        formats: FormatMemory,
        *,
        page: str,
        own_jwt: bool,
    ) -> None:
        self._service = service
        self._leases = leases
        self._tasks = tasks
        self._formats = formats
        self._own_jwt = own_jwt
        self.page: str | None = page

    async def obtain(self, wanted: Try) -> Pass:
        """Ask the service; while it is away a request that was not challenged goes with what is at hand."""
        request = TokenRequest(
            request_id=wanted.request_id,
            provider=wanted.route.provider,
            challenged=wanted.challenged,
            wait=wanted.wait,
            attempt=wanted.number,
        )
        try:
            answer = await self._service.token(request)
        except captcha_errors.CaptchaError as error:
            spare = None if wanted.challenged or not _may_go_without(error) else self._spare(wanted)
            if spare is None:
                raise error_of(error) from None
            return spare
        self._hear(answer)
        given = pass_of(answer)
        if not self._own_jwt:
            return given
        own = self._leases.current(wanted.route, wanted.model)
        return Pass(own.credential_id, own.secret, own.user_id, own.version, given.captcha)

    async def report(self, wanted: Try, given: Pass, outcome: Outcome, learnt: WireFormat | None = None) -> None:
        """Tell the service, without keeping the client waiting for it."""
        report = Report(
            request_id=wanted.request_id,
            provider=wanted.route.provider,
            credential_id=given.credential_id,
            version=given.version,
            outcome=outcome,
            attempt=wanted.number,
            working_format=None if learnt is None else _WORKING[learnt],
        )
        _ = self._tasks.start(self._send(report), name="captcha report")

    def _hear(self, answer: TokenAnswer) -> None:
        if answer.working_format is not None:
            self._formats.hear(WireFormat(answer.working_format), time.monotonic(), answer.working_seconds)

    async def _send(self, report: Report) -> None:
        # What the service does not hear costs a question at most; the next challenge tells it the same.
        with contextlib.suppress(captcha_errors.CaptchaError):
            await self._service.report(report)

    def _spare(self, wanted: Try) -> Pass | None:
        try:
            return _pass_of(self._leases.current(wanted.route, wanted.model))
        except GatewayError:
            return None


_AWAY: Final = (captcha_errors.Unavailable, captcha_errors.JwtInvalid)


def _may_go_without(error: captcha_errors.CaptchaError) -> bool:
    """Say whether an error leaves open that the provider wants no captcha at all."""
    return isinstance(error, _AWAY)


def error_of(error: captcha_errors.CaptchaError) -> GatewayError:
    """Return what the client is told of an error of the service."""
    match error:
        case captcha_errors.CaptchaRequired():
            return CaptchaRequired(captcha_required(error.page))
        case captcha_errors.QueueFull():
            return Overloaded(captcha_queue_full())
        case captcha_errors.JwtInvalid():
            return Misconfigured(start_plan_jwt_invalid(str(error)))
        case captcha_errors.Unavailable():
            return Overloaded(captcha_unavailable())
        case _:
            return Misconfigured(
                misconfigured(
                    f"The captcha service refuses the gateway ({error}): see `captcha.tokenFile` of both, or its "
                    "`captcha.serviceAccounts`.",
                    "captcha_misconfigured",
                )
            )


def pass_of(answer: TokenAnswer) -> Pass:
    """Return a pass as the service gave it."""
    captcha = answer.captcha
    return Pass(
        answer.credential_id,
        Secret(answer.jwt),
        answer.user_id,
        answer.version,
        None if captcha is None else CaptchaToken(Secret(captcha.param), captcha.region),
    )


def _pass_of(lease: Lease) -> Pass:
    return Pass(lease.credential_id, lease.secret, lease.user_id, lease.version)


def has_service(settings: GatewaySettings) -> bool:
    """Say whether a captcha service is configured that is not in this process, and is of any use."""
    return settings.plan is Plan.START and settings.captcha.address != "app:"


def client_of(settings: GatewaySettings) -> CaptchaClient:
    """Make the client of the configured service. Needs a running event loop; raises CaFileUnusable."""
    captcha = settings.captcha
    token_file = peer_token_path(captcha)
    assert token_file is not None  # noqa: S101 -- the rules want one with an http(s) address
    return CaptchaClient(captcha.address, tokens=TokenFile(token_file), trust=trust_of(captcha))
