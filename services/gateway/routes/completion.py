"""
What the three generating endpoints do alike: read the body, hand the call to the exchange, rescue what fails.

Raw ASGI, outside the framework's middleware and response classes, because this is the data path (performance.md 6.2).
"""

import asyncio
from collections.abc import Callable
from typing import Final

from services.chassis.direct import ClientGone
from services.gateway.call import ClientCall, peek
from services.gateway.downstream import Downstream
from services.gateway.errors import Overloaded, Unauthenticated
from services.gateway.exchange import Exchange
from services.gateway.inbound import Inbound
from services.gateway.mutations import Mutation, mutate
from services.gateway.observation import Observation, Observer
from services.gateway.rescue import fault_of_exception, write_error
from services.gateway.translation.own_faults import draining, model_not_allowed
from services.gateway.wire.formats import ANTHROPIC, OPENAI, RESPONSES, WireFormat
from services.gateway.wire.outline import outline_of

PATHS: Final = {
    "/v1/chat/completions": OPENAI,
    "/v1/messages": ANTHROPIC,
    "/v1/responses": RESPONSES,
}

_LARGE: Final = 4096  # bytes of a body that is worth an outline
CLIENT_CLOSED_REQUEST: Final = 499  # the status of a log line nobody was there to read


class CompletionEndpoint:
    """One generating endpoint. `Observer.observe` is called exactly once per request."""

    def __init__(
        self,
        client_format: WireFormat,
        exchange: Exchange,
        observer: Observer,
        *,
        body_limit: int,
        default_model: str | None,
        clock: Callable[[], float],
    ) -> None:
        self._format = client_format
        self._exchange = exchange
        self._observer = observer
        self._body_limit = body_limit
        self._default_model = default_model
        self._clock = clock

    async def __call__(self, inbound: Inbound) -> None:
        """Serve one request; never raises, and takes a cancellation for the end of the client or of the process."""
        client = inbound.client
        observation = Observation(inbound.method, inbound.path, inbound.request_id, inbound.begun_at)
        observation.client_format = self._format
        observation.key_id = inbound.caller.key_id
        try:
            try:
                body = await client.read_body(self._body_limit)
                await self._exchange.run(self._call(inbound, body, client), client, observation)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
                self._rescue(error, inbound, client, observation)
            await client.flushed()
        except ClientGone:
            observation.cancelled = True
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None:
                raise
            task.uncancel()
            if client.gone:
                observation.cancelled = True
            elif not client.finished:  # the server is going down
                self._rescue(Overloaded(draining(retry_after=1.0)), inbound, client, observation)
        finally:
            client.stop_watching()
            if observation.cancelled:
                observation.status = CLIENT_CLOSED_REQUEST
            observation.ended_at = self._clock()
            self._observer.observe(observation)

    def _call(self, inbound: Inbound, body: bytes, client: Downstream) -> ClientCall:
        outline = outline_of(body, blocks=self._format is ANTHROPIC) if len(body) > _LARGE else None
        seen = peek(body, self._default_model, outline)
        if not seen.named:
            body = mutate(body, self._format, Mutation(model=seen.model))
            outline = None
        allowed = inbound.caller.models
        if allowed and seen.model not in allowed:
            raise Unauthenticated(model_not_allowed(seen.model))
        wishes = inbound.wishes
        request_id = inbound.request_id.encode()
        task = client.task
        if task is not None:
            client.watch(lambda: _cancel(task))
        return ClientCall(
            format=self._format,
            caller=inbound.caller,
            body=body,
            model=seen.model,
            stream=seen.stream,
            include_usage=seen.include_usage,
            accept_encoding=wishes.accept_encoding,
            beta=wishes.beta,
            session=wishes.codex_session if self._format is RESPONSES else wishes.session,
            request_id=request_id,
            head=((b"x-request-id", request_id), (b"request-id", request_id), *inbound.cors),
            outline=outline,
        )

    def _rescue(self, error: Exception, inbound: Inbound, client: Downstream, observation: Observation) -> None:
        fault = fault_of_exception(error, inbound.request_id)
        observation.code = fault.code
        observation.upstream_code = fault.upstream_code
        if client.started:  # by a delivery that broke its promise, or cut at the end of the process: not completed
            observation.status = fault.status
            client.abort()
            return
        theirs = observation.upstream_request_id
        extra = () if theirs is None else ((b"x-upstream-request-id", theirs.encode("latin-1")),)
        observation.status = write_error(client, self._format, fault, inbound.request_id, (*inbound.cors, *extra))


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel("the client left")
