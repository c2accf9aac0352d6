"""The front door: who is let in, which application answers, and what every answer carries."""

from typing import Any

import pytest

from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.gateway.cors import Cors
from services.gateway.entry import Entry
from services.gateway.guard import ClientKeys, LoopbackOnly, SingleKey
from services.gateway.inbound import Inbound
from tests.support.asgi_end import AsgiEnd

_KEY = {"authorization": "Bearer k"}


class _House:
    """An entry with one hot route, and a framework that remembers what it was asked."""

    def __init__(self, keys: ClientKeys | None = None, *, origins: tuple[str, ...] = (), hosts: tuple[str, ...] = ()):
        self.hot: list[Inbound] = []
        self.framed: list[Any] = []
        self.tasks = Tasks()
        self.entry = Entry(
            {"/hot": self._serve},
            self._framework,
            keys or SingleKey(Secret("k")),
            Cors(origins),
            self.tasks,
            allowed_hosts=hosts,
        )

    async def _serve(self, inbound: Inbound) -> None:
        self.hot.append(inbound)
        client = inbound.client
        client.start(200, [(b"content-length", b"2")])
        client.finish(b"ok")

    async def _framework(self, scope: Any, receive: Any, send: Any) -> None:
        self.framed.append(scope)
        if scope["type"] == "lifespan":
            return
        own = [(b"content-type", b"x"), (b"x-request-id", b"of the framework")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": scope["method"].encode()})

    async def asked(self, method: str, path: str, **more: Any) -> AsgiEnd:
        end = AsgiEnd(method, path, **more)
        await self.entry(end.scope, end.receive, end.send)
        assert end.whole
        return end


@pytest.mark.parametrize("headers", [_KEY, {"x-api-key": "k"}])
async def test_a_known_caller_reaches_the_hot_route(headers: dict[str, str]) -> None:
    house = _House()

    assert b"ok" == (await house.asked("POST", "/hot", headers=headers)).body
    assert ["proxy-key"] == [inbound.caller.key_id for inbound in house.hot]
    assert [] == house.framed


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
async def test_a_hot_route_takes_posts_only(method: str) -> None:
    house = _House()
    end = await house.asked(method, "/hot", headers=_KEY)

    assert (405, "POST, OPTIONS") == (end.status, end.header("allow"))
    assert [] == house.hot + house.framed


async def test_everything_else_is_the_frameworks_with_our_id_on_it() -> None:
    house = _House()
    end = await house.asked("POST", "/other", headers=_KEY)

    assert b"POST" == end.body
    inbound = house.framed[0]["state"]["inbound"]
    ids = [value.decode() for name, value in end.headers if name in (b"x-request-id", b"request-id")]
    assert [inbound.request_id] * 2 == ids


async def test_head_is_asked_of_the_framework_as_get_and_remembered_as_head() -> None:
    house = _House()

    assert b"GET" == (await house.asked("HEAD", "/other", headers=_KEY)).body
    assert "HEAD" == house.framed[0]["state"]["inbound"].method


@pytest.mark.parametrize("path", ["/hot", "/other", "/hot/", "//", "/.", ""])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"authorization": "k"}])
async def test_nobody_else_reaches_anything(path: str, headers: dict[str, str]) -> None:
    house = _House()
    end = await house.asked("POST", path, headers=headers)

    assert (401, "false") == (end.status, end.header("x-should-retry"))
    assert end.header("request-id") == end.header("x-request-id") is not None
    assert [] == house.hot + house.framed


async def test_without_a_key_this_machine_is_let_in() -> None:
    house = _House(LoopbackOnly())

    assert 200 == (await house.asked("POST", "/hot")).status
    assert 401 == (await house.asked("POST", "/hot", client=("10.0.0.1", 1))).status


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_anybody_may_see_that_somebody_is_there(method: str) -> None:
    end = await _House().asked(method, "/")

    assert (200, b"", "0") == (end.status, end.body, end.header("content-length"))
    assert end.header("request-id")


async def test_anybody_may_ask_for_the_methods_and_no_more() -> None:
    house = _House()
    end = await house.asked("OPTIONS", "/hot", headers={"origin": "https://a.example"})

    assert (204, "GET, HEAD, POST, OPTIONS") == (end.status, end.header("allow"))
    assert end.header("access-control-allow-origin") is None
    assert [] == house.hot + house.framed


@pytest.mark.parametrize(("path", "headers"), [("/", {}), ("/hot", {}), ("/other", _KEY)])
async def test_a_listed_origin_may_read_every_answer(path: str, headers: dict[str, str]) -> None:
    house = _House(origins=("https://a.example",))
    end = await house.asked("GET", path, headers={"origin": "https://a.example", **headers})

    assert "https://a.example" == end.header("access-control-allow-origin")


@pytest.mark.parametrize(
    ("host", "status"),
    [({"host": "a.example"}, 200), ({"host": "A.example"}, 421), ({"host": "a.example:1"}, 421), ({}, 421)],
)
async def test_where_hosts_are_listed_only_they_are_served(host: dict[str, str], status: int) -> None:
    house = _House(hosts=("a.example",))

    assert status == (await house.asked("POST", "/hot", headers={**_KEY, **host})).status
    assert status == (await house.asked("GET", "/", headers=host)).status


async def test_the_servers_lifespan_is_the_frameworks() -> None:
    house = _House()
    end = AsgiEnd("GET", "/")
    await house.entry({"type": "lifespan"}, end.receive, end.send)

    assert [{"type": "lifespan"}] == house.framed


async def test_a_refusal_is_in_the_dialect_of_the_path() -> None:
    house = _House()

    assert "error" == (await house.asked("POST", "/v1/messages")).json["type"]
    assert {"error"} == set((await house.asked("POST", "/v1/chat/completions")).json)
