"""
P-47, P-48 through the whole gateway: however an upstream's stream is cut up, cut off or spoilt, the client's is well-formed.

The machines are proven offset by offset in their unit tests; here the sockets, the relay and the held head are in between.
A tenth of the cases in CI, all of them under `make soak`.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence

import msgspec
import pytest

from services.gateway.wire.formats import WireFormat
from services.simulator.script import Script, parse
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import Streamed, ask, chat_request, checked, streamed
from tests.support.dialects import ANTHROPIC, UPSTREAM_PATH, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.raw_http import say
from tests.support.stream_validators import Seen

RICH = "text=one%20two%20three%20four;reasoning=first;tools=2"
LIMITS = {"retries": 0}

pytestmark = pytest.mark.timeout(600)


async def _upstream_stream(gateway: RunningGateway, dialect: WireFormat, script: str) -> bytes:
    """Return what the simulator itself says."""
    body = msgspec.json.encode(small(dialect, f"sim:{script}", stream=True))
    head = (
        f"POST {UPSTREAM_PATH[dialect]} HTTP/1.1\r\nhost: simulator\r\nauthorization: Bearer k.s\r\nx-api-key: k.s\r\n"
        f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    port = int(gateway.settings.providers["zai"].openai_base.split(":")[2].partition("/")[0])
    return streamed((await say(port, head.encode() + body)).data).body


async def _all(gateway: RunningGateway, requests: Iterable[bytes]) -> list[Streamed]:
    """Ask for all of these, a few at a time, and return the answers in order."""
    at_once = asyncio.Semaphore(8)

    async def one(request: bytes) -> Streamed:
        async with at_once:
            return await ask(gateway.port, request)

    return await asyncio.gather(*map(one, requests))


def _content(said: Seen) -> tuple[object, ...]:
    tools = [(tool.name, tool.arguments) for tool in said.tools]
    return (said.text, said.reasoning, tools, said.reason, said.usage)


@pytest.mark.promise("P-47")
async def test_a_stream_is_the_same_however_it_is_cut_up(
    client_format: WireFormat, upstream_format: WireFormat
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        spellings = ["", "sse=crlf", "sse=nospace+comments", "sse=cr+id"]
        scripts = [f"{RICH};{spelling};split={size}" for spelling in spellings for size in (0, 1, 2, 3, 7, 64, 1000)]
        answers = []
        for script in scripts:  # not as the model: what is asked counts in what is answered
            gateway.simulator.scripts.push(parse(script))
            answers.append(await ask(gateway.port, chat_request(client_format)))
        assert await at_rest(gateway) == {}

    if client_format is upstream_format:  # spellings are passed on, and not all of them are the validators'
        answers, scripts = answers[:7], scripts[:7]
    first, *others = (_content(checked(client_format, answer.body, upstream_format)) for answer in answers)
    differing = [(script, other) for script, other in zip(scripts[1:], others, strict=True) if other != first]
    show("P-47", len(others), len(differing))
    assert first[0] == "one two three four"
    assert differing == []


@pytest.mark.promise("P-47")
@pytest.mark.promise("P-48")
@pytest.mark.parametrize("step", [pytest.param(10, id="a tenth"), pytest.param(1, id="all", marks=pytest.mark.soak)])
@pytest.mark.parametrize("end", ["fin", "rst"])
async def test_a_stream_that_is_cut_off_ends_with_one_error(
    client_format: WireFormat, upstream_format: WireFormat, end: str, step: int
) -> None:
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        length = len(await _upstream_stream(gateway, upstream_format, RICH))
        offsets = range(random.randrange(step), length, step)
        requests = (chat_request(client_format, f"sim:{RICH};cut={offset};end={end}") for offset in offsets)
        answers = await _all(gateway, requests)
        assert await at_rest(gateway) == {}

    for offset, answer in zip(offsets, answers, strict=True):
        assert answer.whole, offset
        if answer.status != 200:
            assert answer.status == 502, offset
            assert msgspec.json.decode(answer.body)["error"]["message"]
            continue
        said = checked(client_format, answer.body, upstream_format)
        assert "one two three four".startswith(said.text), offset
        if said.error is None:
            assert [tool.name for tool in said.tools], offset
    assert answers[0].status == 502
    assert answers[len(answers) // 2].status == 200
    show("P-48", len(answers), 0, what=f"cut off by {end}")


def _kind(frame: bytes) -> str:
    """Return what a lenient client takes an event for: what its data says it is, else its name."""
    lines = dict(line.partition(b": ")[::2] for line in frame.split(b"\n"))
    data = lines.get(b"data", b"")
    if data == b"[DONE]":
        return "end"
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = None
    said = body if isinstance(body, dict) else {}
    name = str(said.get("type") or lines.get(b"event", b"").decode(errors="replace"))
    return "end" if name in {"message_stop", "error"} or "error" in said else name


def _check_end(dialect: WireFormat, body: bytes) -> None:
    """Check that a stream has one end. What an upstream of the same dialect says within is its own affair."""
    kinds = [_kind(frame) for frame in body.split(b"\n\n") if frame.strip()]
    assert kinds[-1] == "end", body[-300:]
    if dialect is ANTHROPIC:
        assert kinds.count("end") == 1, body[-500:]


def _mutated(stream: bytes, chance: random.Random) -> bytes:
    """Spoil a stream in up to three places."""
    spoilt = bytearray(stream)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(spoilt))
        size = chance.choice([1, 1, 2, 10, 100])
        match chance.randrange(6):
            case 0:
                del spoilt[at : at + size]
            case 1:
                spoilt[at : at + size] = chance.randbytes(size)
            case 2:
                spoilt[at:at] = spoilt[at : at + size]
            case 3:
                spoilt[at:at] = chance.choice(
                    [b"\n\n", b"\r", b"\x00", b'"', b"}", b"data: ", b"event: error\n", b"\\"]
                )
            case 4:
                other = chance.randrange(len(spoilt))
                spoilt[at : at + size], spoilt[other : other + size] = (
                    spoilt[other : other + size],
                    spoilt[at : at + size],
                )
            case _:
                spoilt[at:at] = chance.choice([b"null", b"1e999", b"[]", b"{}", b"-1", b'"x"'])
        spoilt = spoilt or bytearray(b"x")
    return bytes(spoilt)


def _pieces(data: bytes, chance: random.Random) -> Sequence[bytes]:
    at = sorted(chance.sample(range(1, len(data)), min(3, len(data) - 1))) if len(data) > 1 else []
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@pytest.mark.promise("P-48")
@pytest.mark.parametrize(
    "count", [pytest.param(125, id="a tenth"), pytest.param(1250, id="all", marks=pytest.mark.soak)]
)
async def test_a_spoilt_stream_ends_well_or_with_one_error(
    client_format: WireFormat, upstream_format: WireFormat, count: int
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    async with running_gateway(upstream_format=upstream_format.value, limits=LIMITS) as gateway:
        stream = await _upstream_stream(gateway, upstream_format, RICH)
        for number in range(count):
            frames = tuple(_pieces(_mutated(stream, chance), chance))
            gateway.simulator.scripts.push(Script(frames=frames))
            answer = await ask(gateway.port, chat_request(client_format))
            assert answer.whole, (seed, number)
            if answer.status != 200:
                assert answer.status in range(400, 600), (seed, number)
                assert msgspec.json.decode(answer.body)["error"]["message"]
            elif client_format is upstream_format:
                _check_end(client_format, answer.body)
            else:
                checked(client_format, answer.body, upstream_format)
        assert await at_rest(gateway) == {}
    show("P-48", count, 0, what="spoilt")
