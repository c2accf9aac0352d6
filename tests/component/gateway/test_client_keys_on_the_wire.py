"""
Two hundred client keys over few shared connections: each is itself and nobody else (promises.md P-36); and what
guessing costs (P-38).

Which key a request was taken for shows in its answer: each key may ask for one model, which no other may.

Shown to fail once by: remembering who presented a key on the connection (P-36); reading the store to check a key, and
letting failures slow other sources down (P-38).
"""

import asyncio
import base64
import random
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.credentials import key_format
from services.credentials.broker import no_keys
from services.credentials.client_keys import ClientKeyBook
from services.credentials.contract import ClientKey, Kind, Snapshot
from services.credentials.leases import KnownKeys
from services.credentials.stores.factory import open_store
from services.gateway.client_keys import SnapshotKeys
from services.gateway.snapshot_leases import SnapshotLeases
from tests.support.credentials import credential, running_broker, until
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.raw_http import RawClient, raw_client
from tests.support.redis_server import Server

KEYS = 200
CONNECTIONS = 20
PIPELINED = 4
LARGEST = 1_000_000
PEPPER = secrets.token_bytes(key_format.PEPPER_SIZE)


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both loops: contexts and transports differ."""
    return ("asyncio", {"use_uvloop": request.param})


def model_of(number: int) -> str:
    return f"sim:text=k{number}k"


class Crowd:
    """The keys, and calls with them; seeded, so that a failure can be had again."""

    def __init__(self) -> None:
        self._chance = random.Random(36)
        self.keys = [
            key_format.make(key_format.make_id(secrets.token_bytes(8)), secrets.token_bytes(32)).reveal()
            for _ in range(KEYS)
        ]

    def known(self) -> SnapshotKeys:
        parsed = [key_format.parse(key.encode()) for key in self.keys]
        kept = tuple(
            ClientKey(id=key.id, macs=(key_format.mac(PEPPER, key.secret).hex(),), models=(model_of(number),))
            for number, key in enumerate(parsed)
            if key is not None
        )
        snapshot = Snapshot(generation=1, client_keys=kept, pepper=base64.b64encode(PEPPER).decode())
        return SnapshotKeys(lambda: snapshot)

    def call(self) -> tuple[bytes, int, bytes]:
        """Return the bytes of a call, and the status and the words of its answer."""
        chance = self._chance
        key = chance.randrange(KEYS)
        asked = key if chance.random() < 0.7 else chance.randrange(KEYS)
        dialect = chance.choice((OPENAI, ANTHROPIC))
        text = "x" * int(LARGEST ** chance.random())  # as many of a byte or ten as of a megabyte
        body = msgspec.json.encode(small(dialect, model_of(asked), text=text))
        named = "X-API-Key: " if chance.random() < 0.5 else "Authorization: Bearer "
        head = (
            f"POST {PATH[dialect]} HTTP/1.1\r\nHost: a\r\n{named}{self.keys[key]}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        right = key == asked
        return head.encode() + body, 200 if right else 403, f"k{key}k".encode() if right else b"may not use the model"

    def turn(self) -> list[tuple[bytes, int, bytes]]:
        return [self.call() for _ in range(self._chance.randint(1, PIPELINED))]


async def _converse(port: int, crowd: Crowd, total: int, seen: list[tuple[int, int, bool]]) -> None:
    async with raw_client(port) as client:
        while len(seen) < total:
            calls = crowd.turn()
            async with asyncio.timeout(60):
                _, answers = await asyncio.gather(
                    client.send(b"".join(raw for raw, _, _ in calls)), _answers(client, len(calls))
                )
            for (_, status, words), (got, body) in zip(calls, answers, strict=True):
                seen.append((status, got, words in body))


async def _answers(client: RawClient, count: int) -> list[tuple[int, bytes]]:
    data = b""
    while len(answers := _whole(data)) < count:
        data += await asyncio.get_running_loop().sock_recv(client.socket, 65536)
    return answers


def _whole(data: bytes) -> list[tuple[int, bytes]]:
    """Return the answers that have come whole; all of ours have a length."""
    found = []
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            break
        found.append((int(head.split(b" ", 2)[1]), rest[:length]))
        data = rest[length:]
    return found


@pytest.mark.promise("P-36")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("total", [500, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_each_of_two_hundred_keys_is_itself(total: int) -> None:
    crowd = Crowd()
    seen: list[tuple[int, int, bool]] = []
    async with running_gateway(keys=crowd.known()) as gateway, asyncio.TaskGroup() as tasks:
        for _ in range(CONNECTIONS):
            tasks.create_task(_converse(gateway.port, crowd, total, seen))

    wrong = [each for each in seen if each[0] != each[1] or not each[2]]
    show("P-36", len(seen), len(wrong), keys=KEYS)
    assert wrong == []
    assert {status for status, _, _ in seen} == {200, 403}


# -- P-38


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Server]:
    with Server(tmp_path / "redis") as server:
        yield server


def _commands(redis: Server) -> int:
    with redis.client() as admin:
        found: int = admin.info("stats")["total_commands_processed"]
    return found


def _asking(key: str) -> bytes:
    body = msgspec.json.encode(small(OPENAI))
    return (
        f"POST {PATH[OPENAI]} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def _guess(gateway: RunningGateway, guesses: int, known: str) -> set[int]:
    """Present keys that nobody has: well formed, with a known id, and mistyped; return the statuses."""
    statuses = set()
    chance = random.Random(38)
    async with raw_client(gateway.port) as client:
        for number in range(guesses):
            id_ = known[4:16] if number % 3 == 0 else key_format.make_id(chance.randbytes(8))
            guess = key_format.make(id_, chance.randbytes(32)).reveal()
            await client.send(_asking(guess[:-1] if number % 3 == 1 else guess))
            statuses.add((await _answers(client, 1))[0][0])
    return statuses


@pytest.mark.promise("P-38")
async def test_guessing_reaches_no_store_and_slows_nobody_down(redis: Server, tmp_path: Path) -> None:
    guesses = 5_000
    books: list[ClientKeyBook] = []

    async def known() -> KnownKeys:
        return await books[0].known() if books else await no_keys()

    store = await open_store(f"{redis.url}?deadline=4000", Path())
    async with running_broker(tmp_path, store=store, client_keys=known) as service:
        books.append(ClientKeyBook(service.vault, service.store))
        good = (await books[0].create("ci")).key.reveal()
        await service.add(credential(kind=Kind.API_KEY, api_key="id.upstream"))
        async with (
            service.client("app") as client,
            running_gateway(
                leases=SnapshotLeases(client),
                keys=SnapshotKeys(lambda: client.snapshot),
                auth={"api_key": None},
            ) as gateway,
        ):
            await until(lambda: client.snapshot.client_keys and client.usable)
            quiet = _commands(redis)
            await asyncio.sleep(1.0)
            idle = _commands(redis) - quiet
            begun, before = time.monotonic(), _commands(redis)
            guessing = asyncio.ensure_future(_guess(gateway, guesses, good))
            served = []
            while not guessing.done():
                async with raw_client(gateway.port) as other:
                    await other.send(_asking(good))
                    served.append((await _answers(other, 1))[0][0])
                await asyncio.sleep(0.1)
            commands = _commands(redis) - before
            seconds = time.monotonic() - begun
            statuses = await guessing

    reached = commands - (idle + 2) * (seconds + 1)
    show("P-38", guesses, int(reached > 20), beyond_idle=round(reached), served=len(served))
    assert statuses == {401}
    assert reached <= 20
    assert set(served) == {200}
