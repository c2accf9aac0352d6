"""
Every request is answered with its own answer: many callers over few connections, pipelined, of all sizes, streamed or
not, in both dialects, some refused, some broken off. Each carries a marker that the simulator says back, and a session
id that must reach the upstream beside it.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest

from services.chassis.secret import Secret
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES
from tests.support.gateway import RunningGateway, running_gateway

pytestmark = pytest.mark.promise("P-36")

_KEY = "client-key"
_CONNECTIONS = 20
_PIPELINED = 4  # sent at once on a connection, at most
_LARGEST = 1_000_000
_BROKEN = 0.01  # of the turns end with the client hanging up


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both loops: contexts and transports differ."""
    return ("asyncio", {"use_uvloop": request.param})


class _Call(msgspec.Struct, frozen=True):
    """One request and what its answer must be like."""

    raw: bytes
    dialect: WireFormat
    marker: str
    stream: bool
    refused: bool


class _Crowd:
    """Makes calls; seeded, so that a failure can be had again."""

    def __init__(self) -> None:
        self._chance = random.Random(36)
        self._made = 0

    def call(self) -> _Call:
        chance = self._chance
        self._made += 1
        marker = f"m{self._made}x{chance.randrange(10**9)}"
        dialect = chance.choice((OPENAI, ANTHROPIC, RESPONSES))
        stream, refused = chance.random() < 0.4, chance.random() < 0.05
        body = self._body(dialect, marker, stream=stream)
        key = f"wrong-{marker}" if refused else _KEY
        credential = f"Authorization: Bearer {key}" if chance.random() < 0.5 else f"X-API-Key: {key}"
        head = (
            f"POST {PATH[dialect]} HTTP/1.1\r\nHost: {marker}.example\r\n{credential}\r\n"
            f"X-Session-Id: {marker}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return _Call(head.encode() + body, dialect, marker, stream, refused)

    def _body(self, dialect: WireFormat, marker: str, *, stream: bool) -> bytes:
        size = int(_LARGEST ** self._chance.random())  # as many of a byte or ten as of a megabyte
        text = f"{marker} ".ljust(size, "y")
        fields = {
            "model": f"sim:text=answer-{marker};{'pace=1;' if stream and size % 2 else ''}",
            **({"input": text} if dialect is RESPONSES else {"messages": [{"role": "user", "content": text}]}),
            "stream": stream,
            **({"max_tokens": 100} if dialect is ANTHROPIC else {}),
        }
        return msgspec.json.encode(fields)

    def turn(self) -> list[_Call]:
        """Return the calls that go out on a connection at once."""
        return [self.call() for _ in range(self._chance.randint(1, _PIPELINED))]

    def breaks(self) -> bool:
        """Say whether the client hangs up in the middle of this turn."""
        return self._chance.random() < _BROKEN


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
    if b"content-length" in fields:
        return status, await reader.readexactly(int(fields[b"content-length"]))
    assert b"chunked" == fields[b"transfer-encoding"]
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return status, bytes(body)


def _said(call: _Call, body: bytes) -> str:
    """Return the text of an answer, put together again."""
    documents = [body]
    if call.stream:
        documents = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    if call.stream and call.dialect is RESPONSES:  # says everything twice: in pieces, and whole in the end
        events = [msgspec.json.decode(document) for document in documents]
        pieces = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        whole = _texts(events[-1]["response"]["output"])
        return "".join(pieces) if pieces and "".join(pieces) == "".join(whole) else f"{pieces} and {whole}"
    return "".join(text for document in documents for text in _texts(msgspec.json.decode(document)))


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value[name] for name in ("text", "content") if isinstance(value.get(name), str)]
        return own + [text for inner in value.values() for text in _texts(inner)]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list) else []


class _Tally:
    def __init__(self) -> None:
        self.answered = 0
        self.broken = 0
        self.wrong: list[tuple[str, int, bytes]] = []

    def note(self, call: _Call, status: int, body: bytes) -> None:
        self.answered += 1
        if call.refused:
            right = status == 401 and b"answer-" not in body and call.marker.encode() not in body
        else:
            right = status == 200 and _said(call, body) == f"answer-{call.marker}"
        if not right:
            self.wrong.append((call.marker, status, body[:300]))


async def _converse(port: int, crowd: _Crowd, tally: _Tally, total: int) -> None:
    """Keep one connection busy, and open another when it was hung up, until so many answers have come in all."""
    while tally.answered < total:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        try:
            while tally.answered < total:
                calls = crowd.turn()
                writer.write(b"".join(call.raw for call in calls))
                await writer.drain()
                if crowd.breaks():
                    tally.broken += 1
                    break
                for call in calls:
                    tally.note(call, *await _answer(reader))
        finally:
            writer.close()


@pytest.fixture(params=["anthropic", "openai"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[RunningGateway]:
    """Each setting translates one dialect and passes the other on."""
    auth = {"proxy_api_key": Secret(_KEY), "api_key": Secret("up.stream")}
    async with running_gateway(upstream_format=request.param, auth=auth) as running:
        yield running


@pytest.mark.timeout(900)
@pytest.mark.parametrize("total", [500, pytest.param(5_000, marks=pytest.mark.soak)])
async def test_every_request_gets_its_own_answer(gateway: RunningGateway, total: int) -> None:
    crowd, tally = _Crowd(), _Tally()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(_converse(gateway.port, crowd, tally, total))

    assert [] == tally.wrong
    assert tally.answered >= total
    assert tally.broken > 0 or total < 1000
    _check_what_went_upstream(gateway)


def _check_what_went_upstream(gateway: RunningGateway) -> None:
    seen = Counter[bytes]()
    for request in gateway.upstream_requests:
        marker = request.header(b"x-session-id") or b""
        seen[marker] += 1
        model = msgspec.json.decode(request.body)["model"]
        assert f"sim:text=answer-{marker.decode()};" == model.removesuffix("pace=1;")
        assert b'"%s ' % marker in request.body or b'"%s"' % marker in request.body
        assert b"up.stream" in (request.header(b"x-api-key") or request.header(b"authorization") or b"")
        assert _KEY.encode() not in b"".join(value for _, value in request.headers)
    assert seen
    assert {1} == set(seen.values())
