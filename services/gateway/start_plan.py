"""
The exchange on the start plan: a pass for each try, captcha challenges, and a route that may have moved.

    obtain a pass ──▶ take a slot, try ──▶ served
      ▲   ▲   (a person may be waited for; no slot is held)
      │   │              ├─ challenged, retries and time left ──▶ a fresh pass, said to be challenged
      │   └──────────────┘
      └────────────────── route gone, format auto, first time ──▶ the same pass on the other format

Everything else that can go wrong is the exchange's own business: its retries, its errors, its events. A try that
carried a person's token is not repeated by it, because the token is used up. Costs the coding plan nothing: it is
another class.
"""

import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from services.captcha.contract import Outcome
from services.chassis.secret import Secret
from services.gateway.admission import Slots
from services.gateway.call import ClientCall
from services.gateway.delivery import Delivery
from services.gateway.downstream import Downstream
from services.gateway.errors import CaptchaRequired, GatewayError, UpstreamRefused
from services.gateway.event_stream import Keeper
from services.gateway.exchange import Exchange, ExchangeSettings, note
from services.gateway.format_memory import FormatMemory, is_route_gone, other_format
from services.gateway.leases import Lease, Leases
from services.gateway.observation import Observation
from services.gateway.preparation import Preparation, Want
from services.gateway.relay import collect
from services.gateway.retries import NEVER, NOT_SENT, Rule
from services.gateway.routing import UpstreamFormat, UpstreamRoute, select_route
from services.gateway.start_plan_passes import Pass, Passes, Try
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.own_faults import captcha_required, route_gone
from services.gateway.upstream.transport import UpstreamAnswer, UpstreamRequest, UpstreamTransport

PARAM: Final = b"x-aliyun-captcha-verify-param"
REGION: Final = b"x-aliyun-captcha-verify-region"

_NOBODY: Final = Lease("", Secret(""))  # who a call is for before it has a pass
_ERROR_LIMIT: Final = 64 * 1024  # bytes of a challenge

_log: Final = logging.getLogger("zcode.gateway")


class StartPlanNeeds(msgspec.Struct, frozen=True, kw_only=True):
    """What the start plan needs besides; `patience` in seconds."""

    system_blocks: tuple[str, ...]  # M4
    retries: int  # fresh captcha tokens for one request
    patience: float  # for a person, in all


class _Visit:
    """One call's way through captchas and formats."""

    def __init__(self, request_id: str, patience: float) -> None:
        self.request_id = request_id
        self.left = patience
        self.number = 0
        self.challenged = False
        self.redirected = False

    def next_try(self, call: ClientCall, route: UpstreamRoute) -> Try:
        return Try(
            request_id=self.request_id,
            number=self.number,
            route=route,
            model=call.model,
            challenged=self.challenged,
            wait=self.left,
        )


class StartPlanExchange(Exchange):
    """Serves calls on the start plan. One per process; safe for concurrent use on one event loop."""

    def __init__(
        self,
        settings: ExchangeSettings,
        transport: UpstreamTransport,
        leases: Leases,
        slots: Slots,
        keeper: Keeper,
        *,
        needs: StartPlanNeeds,
        passes: Passes,
        formats: FormatMemory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(settings, transport, leases, slots, keeper)
        self._needs = needs
        self._passes = passes
        self._formats = formats
        self._clock = clock

    def run(self, call: ClientCall, client: Downstream, observation: Observation) -> Awaitable[None]:
        """Serve one call to its end; raises GatewayError or TranslationError while nothing has been sent."""
        settings = self._settings
        working = self._formats.working(self._clock())
        route = select_route(settings.routes, settings.upstream_format, call.format, working)
        preparation = self._prepare(call, route, _NOBODY)
        note(observation, call, route, _NOBODY, preparation)
        self._budget.request()
        return self._serve(call, route, _NOBODY, preparation, client, observation)

    def _want(self, call: ClientCall, route: UpstreamRoute, lease: Lease) -> Want:
        want = super()._want(call, route, lease)
        return msgspec.structs.replace(want, system_blocks=self._needs.system_blocks)

    def _request(
        self, call: ClientCall, route: UpstreamRoute, lease: Lease, preparation: Preparation
    ) -> UpstreamRequest:
        request = super()._request(call, route, lease, preparation)
        captcha = lease.captcha if isinstance(lease, Pass) else None
        if captcha is None:
            return request
        headers = ((PARAM, captcha.param.reveal().encode()), (REGION, captcha.region.encode()))
        return msgspec.structs.replace(request, headers=(*request.headers, *headers))

    async def _try(
        self, call: ClientCall, route: UpstreamRoute, lease: Lease, preparation: Preparation, delivery: Delivery
    ) -> None:
        """Try until it is served, for good refused, or no person came in time."""
        del lease
        visit = _Visit(delivery.observation.request_id, self._needs.patience)
        while True:
            asked = visit.next_try(call, route)
            given = await self._obtain(asked, visit, delivery.observation)
            known = self._known_route(call, route, visit)
            if known is not route:
                route, preparation = known, self._move(call, known, delivery)
            watched = _Watched(delivery, functools.partial(self._served, visit, asked, given, route))
            try:
                # The slot is the base's to take and to give back: it is never held while a person is waited for.
                await super()._try(call, route, given, preparation, watched)
            except UpstreamRefused as refusal:
                fault = refusal.fault
                await self._report(fault, asked, given)
                if fault.action is Action.CAPTCHA:
                    self._challenge(visit, fault)
                elif is_route_gone(fault):
                    route = self._redirected(visit, route, fault)
                    preparation = self._move(call, route, delivery)
                else:
                    raise
            else:
                return

    async def _obtain(self, asked: Try, visit: _Visit, observation: Observation) -> Pass:
        begun_at = self._clock()
        try:
            given = await self._passes.obtain(asked)
        finally:
            visit.left = max(0.0, visit.left - (self._clock() - begun_at))
        observation.credential_id = given.credential_id
        return given

    def _known_route(self, call: ClientCall, route: UpstreamRoute, visit: _Visit) -> UpstreamRoute:
        """Return the route to take: what another replica has learnt may have come with the pass."""
        settings = self._settings
        if visit.redirected or settings.upstream_format is not UpstreamFormat.AUTO:
            return route
        working = self._formats.working(self._clock())
        return select_route(settings.routes, settings.upstream_format, call.format, working)

    def _move(self, call: ClientCall, route: UpstreamRoute, delivery: Delivery) -> Preparation:
        """Turn a call to another route."""
        preparation = self._prepare(call, route, _NOBODY)
        delivery.redirect(route, preparation)
        delivery.observation.upstream_format = route.format.value
        delivery.observation.dropped = preparation.dropped
        return preparation

    async def _attempt(
        self, request: UpstreamRequest, delivery: Delivery
    ) -> tuple[Fault | None, Rule, type[GatewayError]]:
        fault, rule, error = await super()._attempt(request, delivery)
        if rule.times and rule is not NOT_SENT and any(name == PARAM for name, _ in request.headers):
            rule = NEVER
        return fault, rule, error

    async def _served(self, visit: _Visit, asked: Try, given: Pass, route: UpstreamRoute) -> None:
        """Note that the upstream takes a try, as soon as its answer begins: others may be about to ask."""
        if visit.redirected:
            self._learn(route)
        await self._passes.report(asked, given, Outcome.ACCEPTED, route.format if visit.redirected else None)

    async def _report(self, fault: Fault, asked: Try, given: Pass) -> None:
        if fault.action is Action.CAPTCHA:
            outcome = Outcome.CHALLENGED if given.captcha is None else Outcome.CAPTCHA_REFUSED
            await self._passes.report(asked, given, outcome)
        elif fault.action is Action.RENEW_CREDENTIAL:
            await self._passes.report(asked, given, Outcome.JWT_REFUSED)

    def _challenge(self, visit: _Visit, fault: Fault) -> None:
        """Go for a fresh token; raises CaptchaRequired when there have been enough."""
        if visit.number >= self._needs.retries or not visit.left:
            raise CaptchaRequired(captcha_required(self._passes.page, fault))
        visit.number += 1
        visit.challenged = True

    def _redirected(self, visit: _Visit, route: UpstreamRoute, fault: Fault) -> UpstreamRoute:
        """Return the route in the other format; raises UpstreamRefused where that is not to be tried, or was."""
        settings = self._settings
        if settings.upstream_format is not UpstreamFormat.AUTO or visit.redirected:
            raise UpstreamRefused(route_gone(fault, route.format, both=visit.redirected))
        visit.redirected = True
        return settings.routes[other_format(route.format)]

    def _learn(self, route: UpstreamRoute) -> None:
        if self._formats.learn(route.format, self._clock()):
            _log.warning(
                "the start plan's %s route answered 404 and the %s one works, so that one is used; "
                "startPlan.upstreamFormat: %s saves looking",
                other_format(route.format).value,
                route.format.value,
                route.format.value,
            )


class _Watched:
    """A delivery that knows a challenge by its header under any status, and says when an answer is none."""

    def __init__(self, delivery: Delivery, served: Callable[[], Awaitable[None]]) -> None:
        self._delivery = delivery
        self._served = served
        self.observation = delivery.observation

    @property
    def begun(self) -> bool:
        return self._delivery.begun

    def note_head(self, answer: UpstreamAnswer) -> None:
        self._delivery.note_head(answer)

    def redirect(self, route: UpstreamRoute, preparation: Preparation) -> None:
        self._delivery.redirect(route, preparation)

    async def deliver(self, answer: UpstreamAnswer) -> Fault | None:
        if not answer.fields.get(PARAM):
            await self._served()
            return await self._delivery.deliver(answer)
        body = await collect(answer, _ERROR_LIMIT)
        return read_fault(answer.status, body, headers=answer.headers, start_plan=True)
