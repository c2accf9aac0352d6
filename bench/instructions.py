"""
What one request costs in instructions: `python -m bench.instructions aa-json aa-stream oa-large`.

The gateway's data path, from the bytes of a request to the bytes of its answer, in one process and without sockets,
under callgrind (Debian's `valgrind`). The count is the same to a percent whatever else the machine does, so it decides
where a timed comparison cannot. It leaves out the kernel and the event loop's work on sockets, a third of a small
request. A kind is what the client speaks and what the upstream (`a` or `o`), and `json`, `stream`, `large` or
`paced`: a stream that brings one event with each read.
"""

import argparse
import asyncio
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import uvloop
from uvicorn.server import ServerState

from bench import places
from bench.canned import STREAMS, answer
from bench.requests import CLIENT_KEY, UPSTREAM_KEY, Dialect, large, request, small
from services.chassis.guard import GuardProtocol
from services.chassis.http_guard.timed import Guard
from services.chassis.logs import set_up
from services.chassis.process import freeze_garbage
from services.chassis.site import Listener, uvicorn_config
from services.cli.configuration import load
from services.gateway.app import create_gateway
from services.gateway.process import guard_limits
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.pool import OriginPool
from services.gateway.upstream.pooled import PooledTransport
from services.gateway.upstream.tls import make_tls_context
from services.gateway.upstream.transport import Origin

_REQUESTS: Final = 200
_WARM: Final = 300
_READ: Final = 64 * 1024
_ORIGIN: Final = Origin("http", "127.0.0.1", 9)
_DIALECTS: Final[dict[str, Dialect]] = {"a": "anthropic", "o": "openai"}


class Wire(asyncio.Transport):
    """A socket that takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in {"peername", "sockname"} else default

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing is read by itself."""

    def resume_reading(self) -> None:
        """As above."""


class DataPath:
    """The gateway between a client's connection and one of the upstream's that is always idle."""

    def __init__(self, kind: str, folder: Path) -> None:
        sides, shape = kind.split("-")
        client, upstream = _DIALECTS[sides[0]], _DIALECTS[sides[1]]
        config = folder / "config.yaml"
        config.write_text(
            f"auth: {{apiKey: {UPSTREAM_KEY}, proxyApiKey: {CLIENT_KEY}}}\n"
            'providers: {zai: {anthropicBase: "http://127.0.0.1:9", openaiBase: "http://127.0.0.1:9"}}\n'
            f"codingPlan: {{upstreamFormat: {upstream}}}\nstore: {{dir: {folder}}}\n"
        )
        settings = load(config, environ={}).unwrap()
        transport = PooledTransport(connections=1, tls=make_tls_context())
        transport._pools[_ORIGIN] = self._pool = OriginPool(_ORIGIN, 1)  # noqa: SLF001 -- so that nothing is dialled
        self.gateway = create_gateway(settings, transport=transport)
        loop = asyncio.get_running_loop()
        guard = Guard(guard_limits(settings.limits), direct=self.gateway.entry.direct())
        server = uvicorn_config(Listener(app=self.gateway.entry))
        self._client = GuardProtocol(guard, server, ServerState(), {}, loop)
        self._out = Wire()
        self._client.connection_made(self._out)
        self._upstream = Connection(self._pool, loop.time, self._pool.buffer)
        self._asked = Wire()
        self._upstream.connection_made(self._asked)
        self._pool.idle.append(self._upstream)
        body = large(client) if shape == "large" else small(stream=shape in STREAMS)
        self._request = _reads(request(client, body))
        said = answer(upstream, shape)
        self._answer = _chunks(said) if shape == "paced" else _reads(said)

    async def serve(self) -> bytes:
        """Serve one request; returns what the client gets."""
        self._asked.written.clear()
        self._out.written.clear()
        for piece in self._request:
            self._client.data_received(piece)
        while not self._asked.written:  # noqa: ASYNC110 -- what would set an event is what is measured
            await asyncio.sleep(0)
        for piece in self._answer:
            self._upstream.get_buffer(-1)[: len(piece)] = piece
            self._upstream.buffer_updated(len(piece))
            if piece is self._answer[0] and len(self._answer) > 1:
                for _ in range(3):
                    await asyncio.sleep(0)  # the head is taken before the events come
        while not (self._pool.idle and self._client.cycle.response_complete):  # noqa: ASYNC110 -- as above
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the end of the turn, when all is written
        return b"".join(self._out.written)

    def settle(self) -> None:
        """Count and log what was served, which is part of its price."""
        self.gateway.ledger.flush()
        self.gateway.request_log.flush()


def _chunks(data: bytes) -> list[bytes]:
    """Cut an answer behind its head and every HTTP chunk; none of them holds a CRLF itself."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = body.split(b"\r\n")
    chunks = [b"%b\r\n%b\r\n" % pair for pair in zip(lines[::2], lines[1::2], strict=False)]
    return [head + b"\r\n\r\n", *chunks]


def _reads(data: bytes) -> list[bytes]:
    return [data[at : at + _READ] for at in range(0, len(data), _READ)]


async def _counted(kind: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        set_up("info", "json", io.StringIO())
        path = DataPath(kind, Path(folder))
        said = await path.serve()
        if not said.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"{kind}: {said[:200]!r}")
        for _ in range(_WARM):
            await path.serve()
        path.settle()
        freeze_garbage()
        _instrument("on")
        for _ in range(_REQUESTS):
            await path.serve()
        path.settle()
        _instrument("off")


def _instrument(state: str) -> None:
    subprocess.run(["callgrind_control", "-i", state, str(os.getpid())], check=True, capture_output=True)


def _measure(kind: str) -> float:
    """Return thousands of instructions a request."""
    out = places.BUILD / f"callgrind.{kind}"
    valgrind = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}"]
    command = [*valgrind, sys.executable, "-m", "bench.instructions", "--child", kind]
    environment = os.environ | {"PYTHONHASHSEED": "0"}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=places.PROJECT)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or found is None:
        raise SystemExit(f"{kind}: {run.stderr[-500:]}")
    return int(found[1]) / _REQUESTS / 1000


def main() -> None:
    """Count for each kind that is named."""
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["aa-json", "aa-stream", "aa-large", "oa-json", "ao-stream"])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        uvloop.run(_counted(options.kinds[0]))
        return
    places.BUILD.mkdir(parents=True, exist_ok=True)
    for kind in options.kinds:
        print(f"{kind:10} {_measure(kind):8,.0f} thousand instructions a request", flush=True)


if __name__ == "__main__":
    main()
