"""The generating endpoints by themselves: exactly one observation per request, and every failure an answer."""

import asyncio
import json
from typing import Any

import pytest

from services.chassis.process import Tasks
from services.gateway.call import ClientCall
from services.gateway.downstream import AsgiDownstream, Downstream
from services.gateway.errors import UpstreamRefused
from services.gateway.guard import Caller
from services.gateway.inbound import Inbound
from services.gateway.observation import Observation
from services.gateway.routes.completion import CLIENT_CLOSED_REQUEST, CompletionEndpoint
from services.gateway.translation.fault import Fault
from services.gateway.translation.refusal import TranslationError
from services.gateway.wire.formats import WireFormat
from tests.support.asgi_end import AsgiEnd

_BODY = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'


class _Exchange:
    """Stands where the exchange is: keeps the call and does as it is told."""

    def __init__(self, failure: Exception | None = None, *, start: bool = False, wait: bool = False) -> None:
        self.calls: list[ClientCall] = []
        self.entered = asyncio.Event()
        self._failure = failure
        self._start = start
        self._wait = wait

    async def run(self, call: ClientCall, client: Downstream, observation: Observation) -> None:
        self.calls.append(call)
        self.entered.set()
        if self._start:
            client.start(200, call.head)
            client.write(b"half")
        if self._wait:
            await asyncio.Event().wait()
        if self._failure is not None:
            raise self._failure
        observation.status = 200
        client.start(200, [*call.head, (b"content-length", b"2")])
        client.finish(b"ok")


class _Desk:
    """An endpoint and what it observed."""

    def __init__(self, exchange: _Exchange, *, limit: int = 1000, default_model: str | None = None) -> None:
        self.seen: list[Observation] = []
        self.endpoint = CompletionEndpoint(
            WireFormat.OPENAI,
            exchange,  # type: ignore[arg-type]  # the one method that the endpoint calls
            self,
            body_limit=limit,
            default_model=default_model,
            clock=lambda: 77.0,
        )

    def observe(self, observation: Observation) -> None:
        self.seen.append(observation)

    async def serve(self, body: bytes = _BODY, headers: dict[str, str] | None = None) -> AsgiEnd:
        end = AsgiEnd("POST", "/v1/chat/completions", body=body, headers=headers)
        await self.endpoint(self.inbound(end))
        return end

    def inbound(self, end: AsgiEnd) -> Inbound:
        inbound = end.inbound(70.0)
        inbound.cors = ((b"vary", b"origin"),)
        return inbound


async def test_a_call_is_handed_on_with_what_matters_of_its_headers() -> None:
    exchange = _Exchange()
    desk = _Desk(exchange)
    headers = {
        "accept-encoding": "gzip",
        "anthropic-beta": "evil, context-1m-2025-08-07",
        "x-session-id": "s1",
        "cookie": "never",
    }
    end = await desk.serve(headers=headers)

    [call] = exchange.calls
    assert ("m", True, True, _BODY) == (call.model, call.stream, call.include_usage, call.body)
    assert (b"gzip", b"context-1m-2025-08-07", b"s1") == (call.accept_encoding, call.beta, call.session)
    [seen] = desk.seen
    assert {
        b"x-request-id": seen.request_id.encode(),
        b"request-id": seen.request_id.encode(),
        b"vary": b"origin",
    } == dict(call.head)
    assert (200, b"ok") == (end.status, end.body)
    assert (200, "loopback", "openai", 70.0, 77.0, False) == (
        seen.status,
        seen.key_id,
        seen.client_format,
        seen.begun_at,
        seen.ended_at,
        seen.cancelled,
    )


async def test_the_default_model_is_put_into_a_body_that_names_none() -> None:
    exchange = _Exchange()
    await _Desk(exchange, default_model="glm-5.1").serve(b'{"stream":false,"n": 1}')

    [call] = exchange.calls
    assert ("glm-5.1", {"stream": False, "n": 1, "model": "glm-5.1"}) == (call.model, json.loads(call.body))


@pytest.mark.parametrize(("models", "served"), [((), True), (("m", "x"), True), (("x",), False)])
async def test_a_key_is_held_to_its_models(models: tuple[str, ...], served: bool) -> None:
    exchange = _Exchange()
    desk = _Desk(exchange)
    end = AsgiEnd("POST", "/v1/chat/completions", body=_BODY)
    inbound = desk.inbound(end)
    inbound.caller = Caller("key", models)

    await desk.endpoint(inbound)

    assert (200 if served else 403) == end.status
    assert served == bool(exchange.calls)


@pytest.mark.parametrize(
    ("exchange", "body", "status", "code"),
    [
        (_Exchange, b"{", 400, "invalid_json"),
        (_Exchange, b"{}", 400, None),
        (_Exchange, b'{"model":"%s"}' % (b"m" * 2000), 413, "request_too_large"),
    ],
)
async def test_a_bad_request_never_reaches_the_exchange(
    exchange: type[_Exchange], body: bytes, status: int, code: str | None
) -> None:
    stands = exchange()
    desk = _Desk(stands)
    end = await desk.serve(body)

    assert (status, code, []) == (end.status, end.json["error"]["code"], stands.calls)
    assert [(status, code)] == [(seen.status, seen.code) for seen in desk.seen]


@pytest.mark.parametrize(
    ("failure", "status", "code", "upstream"),
    [
        (UpstreamRefused(Fault(status=429, message="m", code="c", upstream_code="1302")), 429, "c", "1302"),
        (TranslationError("n: no", param="n"), 400, None, None),
        (ZeroDivisionError("?"), 500, "internal_error", None),
    ],
)
async def test_a_failure_is_an_answer_and_an_observation(
    failure: Exception, status: int, code: str | None, upstream: str | None
) -> None:
    desk = _Desk(_Exchange(failure))
    end = await desk.serve()

    assert (status, True, "origin") == (end.status, end.whole, end.header("vary"))
    assert [(status, code, upstream)] == [(seen.status, seen.code, seen.upstream_code) for seen in desk.seen]


async def test_the_upstreams_id_is_on_the_error_too() -> None:
    class Named(_Exchange):
        async def run(self, call: ClientCall, client: Downstream, observation: Observation) -> None:
            observation.upstream_request_id = "theirs"
            await super().run(call, client, observation)

    end = await _Desk(Named(UpstreamRefused(Fault(status=400, message="m")))).serve()

    assert "theirs" == end.header("x-upstream-request-id")


async def test_an_answer_that_breaks_after_its_head_is_not_completed() -> None:
    desk = _Desk(_Exchange(ZeroDivisionError("?"), start=True))
    end = await desk.serve()

    assert (200, b"half", False) == (end.status, end.body, end.whole)
    assert [(500, "internal_error")] == [(seen.status, seen.code) for seen in desk.seen]


async def _hung_up(desk: _Desk, exchange: _Exchange | None) -> AsgiEnd:
    """Serve a request whose client leaves: once the exchange is under way, or before its body is whole."""
    end = AsgiEnd("POST", "/v1/chat/completions", body=_BODY)
    if exchange is None:
        end.leave()
        await desk.endpoint(desk.inbound(end))
        return end
    task = asyncio.ensure_future(_serve(desk, end))
    await exchange.entered.wait()
    end.leave()
    async with asyncio.timeout(5):
        await task
    return end


async def _serve(desk: _Desk, end: AsgiEnd) -> None:
    await desk.endpoint(desk.inbound(end))
    # The request's task goes on as if it had never been cancelled.
    current: Any = asyncio.current_task()
    assert 0 == current.cancelling()


@pytest.mark.parametrize("early", [False, True])
async def test_a_client_that_leaves_ends_the_exchange(early: bool) -> None:
    exchange = _Exchange(wait=True)
    desk = _Desk(exchange)
    end = await _hung_up(desk, None if early else exchange)

    assert (0, []) == (end.status, end.parts)
    assert [(CLIENT_CLOSED_REQUEST, True)] == [(seen.status, seen.cancelled) for seen in desk.seen]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_server_that_goes_down_says_so_where_it_still_can(begun: bool) -> None:
    exchange = _Exchange(wait=True, start=begun)
    desk = _Desk(exchange)
    end = AsgiEnd("POST", "/v1/chat/completions", body=_BODY)
    task = asyncio.ensure_future(_serve(desk, end))
    await exchange.entered.wait()
    task.cancel()
    await task

    assert [(503, "gateway_draining", False)] == [(seen.status, seen.code, seen.cancelled) for seen in desk.seen]
    if begun:
        assert (200, b"half", False) == (end.status, end.body, end.whole)
    else:
        assert (503, "gateway_draining", True) == (end.status, end.json["error"]["code"], end.whole)


async def test_an_answer_that_is_complete_stays_it() -> None:
    """The server ends while the last bytes are still on their way to a slow client."""
    exchange = _Exchange()
    desk = _Desk(exchange)
    end = AsgiEnd("POST", "/v1/chat/completions", body=_BODY)
    inbound = desk.inbound(end)
    stuck = asyncio.Event()

    async def slow(message: Any) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.sleep(0.01)
        await end.send(message)

    inbound.client = AsgiDownstream(end.receive, slow, Tasks())
    task = asyncio.ensure_future(desk.endpoint(inbound))
    await stuck.wait()
    task.cancel()
    await task

    assert [(200, None)] == [(seen.status, seen.code) for seen in desk.seen]
