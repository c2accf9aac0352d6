"""
A gateway's process holds no master key and no token that could make more of a login (promises.md P-28).

The whole memory of a real gateway's process is read, its environment, its arguments and its mounts. Shown to fail once
by: sending the refresh token as the lease's `user_id`.
"""

import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import msgspec
import pytest

from services.chassis.peer.token_file import generate
from services.credentials.keyring import Keyring
from services.credentials.vault import Vault
from tests.component.credentials.conftest import Arena, show

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, sys
from pathlib import Path
from services.credentials.client import connect
from services.gateway.snapshot_leases import SnapshotLeases
from tests.support.gateway import running_gateway

async def main():
    client = connect("unix:" + sys.argv[1], token_file=Path(sys.argv[2]))
    await client.start()
    async with running_gateway(leases=SnapshotLeases(client), auth={"api_key": None}, provider="zai") as gateway:
        print(gateway.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
TOKEN = re.compile(rb"rt-crd-[0-9]+-[0-9]+-[0-9a-f]{32}")
KEY = re.compile(rb"key-crd-[0-9]+-[0-9]+")
BODY = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}


@contextmanager
def _gateway(socket: str, token: Path) -> Iterator[tuple[int, int]]:
    """Run a gateway; give its pid and port."""
    command = [sys.executable, "-c", PROGRAM, socket, str(token)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGKILL)


def _memory(pid: int) -> Iterator[bytes]:
    """Yield what a process can read and write, piece by piece."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            begin, end = (int(part, 16) for part in span.split("-"))
            memory.seek(begin)
            try:
                yield memory.read(end - begin)
            except OSError:  # a page that is mapped and cannot be read, such as the kernel's own
                continue


def _surroundings(pid: int) -> list[bytes]:
    return [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline", "mounts")]


async def _scanned(arena: Arena, refreshes: int) -> None:
    master = secrets.token_bytes(32)
    arena.vault = Vault(arena.store, Keyring.generate(master), namespace="zr")
    canary = f"at-{secrets.token_hex(16)}"
    arena.provider.set(expires_in=0.3, grace=0.0)
    await arena.vault.unlock(initialise=True)
    name = await arena.add()
    record = await arena.read(name)
    with_access = msgspec.structs.replace(
        record, provider="zai", secrets=msgspec.structs.replace(record.secrets, access_token=canary)
    )
    await arena.vault.write_credential(with_access, expected=record.version)
    token = arena.directory / "token"
    generate(token)
    path = str(arena.directory / "cred.sock")
    arena.spawn(0, socket=path, token_file=str(token), master=master.hex(), lease=5.0)
    with _gateway(path, token) as (pid, port):
        async with httpx2.AsyncClient(trust_env=False, timeout=20.0) as http:

            async def served() -> int:
                return (await http.post(f"http://127.0.0.1:{port}/v1/messages", json=BODY)).status_code

            statuses = []
            while arena.provider.counts()["granted"] < refreshes:
                statuses.append(await served())
        hits = {"token": 0, "access": 0, "master": 0, "key": 0}
        for piece in _memory(pid):
            hits["token"] += len(TOKEN.findall(piece))
            hits["access"] += piece.count(canary.encode())
            hits["master"] += piece.count(master) + piece.count(master.hex().encode())
            hits["key"] += len(KEY.findall(piece))
        elsewhere = sum(bool(TOKEN.search(text)) or canary.encode() in text for text in _surroundings(pid))

    show("P-28", refreshes, hits["token"] + hits["access"] + hits["master"] + elsewhere, **hits)
    assert 200 in statuses
    assert hits.pop("key") > 0, "the scan does not even find the lease that is in use"
    assert hits == {"token": 0, "access": 0, "master": 0}
    assert elsewhere == 0


@pytest.mark.promise("P-28")
async def test_a_gateways_memory_holds_no_master_key_and_no_token(redis_arena: Arena) -> None:
    redis_arena.redis.client().flushall()  # type: ignore[union-attr]
    await _scanned(redis_arena, 30)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-28")
async def test_a_gateways_memory_holds_none_after_five_hundred_refreshes(redis_arena: Arena) -> None:
    redis_arena.redis.client().flushall()  # type: ignore[union-attr]
    await _scanned(redis_arena, 500)
