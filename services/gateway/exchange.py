"""
One call from its validated form to its last byte: route, prepare, send, relay, and try again where that is safe.

The steps are the walk of design.md section 2. Before the first byte a failure is a GatewayError, which `rescue`
writes in the client's dialect; after it, a failure is an event of the stream, written here.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from services.gateway.admission import Slots
from services.gateway.call import ClientCall
from services.gateway.delivery import BatchDelivery, Delivery, DeliverySettings, StreamDelivery
from services.gateway.dialect import Dialect
from services.gateway.downstream import Downstream
from services.gateway.errors import GatewayError, Overloaded, UpstreamRefused, UpstreamUnreachable
from services.gateway.event_stream import Keeper
from services.gateway.gate import Gate, Passage
from services.gateway.heads import fixed_headers, request_headers_for
from services.gateway.identity import INTERLEAVED_THINKING
from services.gateway.leases import Lease, Leases
from services.gateway.observation import Observation
from services.gateway.preparation import Preparation, Want, prepare
from services.gateway.relay import collect
from services.gateway.retries import NEVER, NOT_CALLED, NOT_SENT, RetryBudget, Rule, delay, rule_for
from services.gateway.routing import CODING, Plan, Routes, UpstreamFormat, UpstreamRoute, select_route
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.transport_faults import fault_of
from services.gateway.upstream.transport import (
    AnswerLimits,
    CertificateInvalid,
    HeaderBlock,
    PoolTimeout,
    Timeouts,
    TransportError,
    UpstreamAnswer,
    UpstreamRequest,
    UpstreamTransport,
)
from services.gateway.wire.content_coding import CodingError, decoded
from services.gateway.wire.formats import WireFormat

_ERROR_LIMIT: Final = 1024 * 1024  # bytes of an error, decoded; a real one is some hundred


class ExchangeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers an exchange goes by, resolved once at start."""

    routes: Routes
    upstream_format: UpstreamFormat
    dialect_of: Callable[[WireFormat, str], Dialect]
    max_tokens_of: Callable[[str], int]
    request_limits: RequestLimits
    identity: tuple[tuple[bytes, bytes], ...]
    stream_timeouts: Timeouts
    batch_timeouts: Timeouts
    stream_limits: AnswerLimits
    batch_limits: AnswerLimits
    retries: int
    delivery: DeliverySettings
    breaker: int = 5  # failures in a row that open a circuit; 0: none is ever opened


_LEASE_CHANGES: Final = 2  # a renewed credential, then another one of the owner's


class Exchange:
    """Serves calls. One per process; safe for concurrent use on one event loop."""

    def __init__(
        self, settings: ExchangeSettings, transport: UpstreamTransport, leases: Leases, slots: Slots, keeper: Keeper
    ) -> None:
        self._settings = settings
        self._route_of = {each: select_route(settings.routes, settings.upstream_format, each) for each in WireFormat}
        self._transport = transport
        self._leases = leases
        self.gate = Gate(slots, settings.breaker)
        self._keeper = keeper
        self._budget = RetryBudget()
        self._fixed: dict[int, tuple[UpstreamRoute, HeaderBlock]] = {}

    def run(self, call: ClientCall, client: Downstream, observation: Observation) -> Awaitable[None]:
        """
        Serve one call to its end; raises GatewayError or TranslationError while nothing has been sent.

        Begins at once and returns what is left to await: every coroutine in between would cost each request.
        """
        route = self._route_of[call.format]
        resting = self.gate.resting(route.origin.host) if self.gate.troubled else ()
        lease = self._leases.current(route, call.model, resting)
        preparation = self._prepare(call, route, lease)
        note(observation, call, route, lease, preparation)
        self._budget.request()
        return self._serve(call, route, lease, preparation, client, observation)

    def _prepare(self, call: ClientCall, route: UpstreamRoute, lease: Lease) -> Preparation:
        settings = self._settings
        dialect = settings.dialect_of(route.format, call.model)
        return prepare(call.body, self._want(call, route, lease), dialect, settings.request_limits, call.outline)

    def _want(self, call: ClientCall, route: UpstreamRoute, lease: Lease) -> Want:
        return Want(
            client=call.format,
            upstream=route.format,
            model=call.model,
            stream=call.stream,
            include_usage=call.include_usage,
            default_max_tokens=self._settings.max_tokens_of(call.model),
            interleaved_thinking=call.beta is not None and INTERLEAVED_THINKING in call.beta.split(b","),
            user_id=lease.user_id if route.plan is CODING else None,
        )

    def _serve(
        self,
        call: ClientCall,
        route: UpstreamRoute,
        lease: Lease,
        preparation: Preparation,
        client: Downstream,
        observation: Observation,
    ) -> Awaitable[None]:
        settings = self._settings.delivery
        if call.stream:
            delivery = StreamDelivery(call, route, preparation, client, observation, settings)
            return self._stream(call, route, lease, preparation, delivery, client)
        batch = BatchDelivery(call, route, preparation, client, observation, settings)
        return self._try(call, route, lease, preparation, batch)

    async def _stream(
        self,
        call: ClientCall,
        route: UpstreamRoute,
        lease: Lease,
        preparation: Preparation,
        delivery: StreamDelivery,
        client: Downstream,
    ) -> None:
        stream = delivery.stream
        self._keeper.add(stream)
        task = client.task
        if task is not None:
            stream.on_cut(lambda: _interrupt(task))
        try:
            await self._try(call, route, lease, preparation, delivery)
        except GatewayError as error:
            if stream.held:
                raise
            stream.fail(error.fault)  # keep-alives have gone out, so the failure is an event
        except asyncio.CancelledError:
            if stream.cut_by is None or client.gone or task is None:
                raise
            task.uncancel()
            if stream.held:
                raise Overloaded(stream.cut_by) from None
        finally:
            self._keeper.remove(stream)
            stream.release()

    async def _try(
        self, call: ClientCall, route: UpstreamRoute, lease: Lease, preparation: Preparation, delivery: Delivery
    ) -> None:
        """Send, and send again where the table, the budget and the client's stream allow it."""
        request = self._request(call, route, lease, preparation)
        attempt = changes = 0
        model = call.model
        passage: Passage | None = self.gate.take(lease.credential_id, route.origin.host, model)
        if passage is None:
            passage = await self._enter(lease, route, model)
        try:
            while True:
                fault, rule, error = await self._attempt(request, delivery)
                may_go_on = passage.end(fault, ours=rule is NOT_SENT or rule is NOT_CALLED)
                if fault is None or delivery.begun:
                    return
                other = await self._leases.after(fault, lease, route, call.model) if changes < _LEASE_CHANGES else None
                if other is not None:
                    changes += 1
                    lease = other
                    delivery.observation.credential_id = lease.credential_id
                    request = self._request(call, route, lease, self._prepare(call, route, lease))
                    passage.leave()
                    passage = None
                    passage = await self._enter(lease, route, model)
                    continue
                now = time.monotonic()
                wait = delay(rule, attempt, random.random(), fault.retry_after)  # noqa: S311  # jitter, not a secret
                over = wait is None or attempt >= self._settings.retries or not may_go_on
                if wait is None or over or not self._budget.spend(now):
                    raise error(fault)
                attempt += 1
                if fault.action is not Action.THROTTLE:
                    await asyncio.sleep(wait)
                    continue
                passage.leave()  # there is one too many: stand in line like the others
                passage = None
                await asyncio.sleep(wait)
                passage = await self._enter_again(lease, route, model, error(fault))
        finally:
            if passage is not None:
                passage.leave()

    async def _enter(self, lease: Lease, route: UpstreamRoute, model: str) -> Passage:
        return await self.gate.enter(lease.credential_id, route.origin.host, route.provider, model)

    async def _enter_again(self, lease: Lease, route: UpstreamRoute, model: str, refusal: GatewayError) -> Passage:
        """As `_enter`; who finds no place is told what the upstream said, and not that our queue is full."""
        try:
            return await self._enter(lease, route, model)
        except Overloaded:
            raise refusal from None

    async def _attempt(
        self, request: UpstreamRequest, delivery: Delivery
    ) -> tuple[Fault | None, Rule, type[GatewayError]]:
        """Send once; returns what went wrong, whether that is tried again, and how it is raised."""
        observation = delivery.observation
        observation.attempts += 1
        answer: UpstreamAnswer | None = None
        try:
            observation.sent_at = time.monotonic()
            observation.head_at = observation.heard_at = None
            answer = await self._transport.send(request)
            delivery.note_head(answer)
            if 200 <= answer.status < 300:
                fault = await delivery.deliver(answer)
            else:
                fault = _refusal(answer, await collect(answer, _ERROR_LIMIT), observation)
        except TransportError as error:
            rule = NOT_SENT if error.nothing_sent else NEVER
            if isinstance(error, (PoolTimeout, CertificateInvalid)):
                rule = NOT_CALLED
            return fault_of(error), rule, UpstreamUnreachable
        finally:
            if answer is not None:
                answer.close()
        if fault is None:
            return None, NEVER, UpstreamRefused
        observation.upstream_code = fault.upstream_code
        return fault, rule_for(fault), UpstreamRefused

    def _fixed_headers(self, route: UpstreamRoute) -> HeaderBlock:
        """Return the route's own headers, written once; the route is kept with them, because its id is the key."""
        found = self._fixed.get(id(route))
        if found is None:
            found = self._fixed[id(route)] = (route, fixed_headers(route, self._settings.identity))
        return found[1]

    def _request(
        self, call: ClientCall, route: UpstreamRoute, lease: Lease, preparation: Preparation
    ) -> UpstreamRequest:
        settings = self._settings
        return UpstreamRequest(
            method="POST",
            origin=route.origin,
            path=route.path,
            headers=request_headers_for(call, route, lease),
            fixed=self._fixed_headers(route),
            body=preparation.body,
            timeouts=settings.stream_timeouts if call.stream else settings.batch_timeouts,
            limits=settings.stream_limits if call.stream else settings.batch_limits,
        )


def _refusal(answer: UpstreamAnswer, body: bytes, observation: Observation) -> Fault:
    """Read an answer that is no success; it may be compressed, because the client's accept-encoding travels."""
    coding = answer.fields.get(b"content-encoding")
    if coding is not None:
        try:
            body = decoded(body, coding.decode("latin-1"), _ERROR_LIMIT)
        except CodingError:
            body = b""  # the status alone then says what it is
    start_plan = observation.plan == Plan.START
    return read_fault(answer.status, body, now=time.time(), headers=answer.headers, start_plan=start_plan)


def _interrupt(task: asyncio.Task[None]) -> None:
    task.cancel("the process ends")


def note(
    observation: Observation, call: ClientCall, route: UpstreamRoute, lease: Lease, preparation: Preparation
) -> None:
    """Write down what is known of a call before it goes."""
    observation.upstream_format = route.format
    observation.provider = route.provider
    observation.plan = route.plan
    observation.credential_id = lease.credential_id
    observation.model = call.model
    observation.stream = call.stream
    observation.dropped = preparation.dropped
