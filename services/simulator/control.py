"""
The simulator's own endpoints, under `/_simulator/`: what it was asked, what it does next.

They carry no credential: the simulator is for tests and demos and listens on loopback unless told otherwise.
"""

from collections.abc import Callable
from http import HTTPStatus

import msgspec

from services.simulator import records, script
from services.simulator.connection import Connection, Handler
from services.simulator.records import Records, Request
from services.simulator.script import Script, ScriptError
from services.simulator.scripts import Scripts

PREFIX = "/_simulator/"


class _Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /_simulator/script`: a script in the grammar, or its fields as a JSON object."""

    script: str | Script
    times: int = 1


class Control:
    """Answers the control endpoints."""

    def __init__(self, scripts: Scripts, log: Records, *resets: Callable[[], None]) -> None:
        self._scripts = scripts
        self._records = log
        self._resets = resets  # of the other areas

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        methods: dict[str, tuple[str, Callable[[Request], object]]] = {
            "requests": ("GET", self._requests),
            "state": ("GET", self._state),
            "health": ("GET", self._health),
            "reset": ("POST", self._reset),
            "script": ("POST", self._push),
        }
        return {PREFIX + name: _handler(method, answer) for name, (method, answer) in methods.items()}

    def _requests(self, _: Request) -> object:
        return {"requests": [records.to_json(request) for request in self._records.requests]}

    def _state(self, _: Request) -> object:
        return self._records.state() | {"scripts_waiting": self._scripts.waiting}

    def _health(self, _: Request) -> object:
        return {"status": "ok"}

    def _reset(self, _: Request) -> object:
        self._records.reset()
        self._scripts.reset()
        for reset in self._resets:
            reset()
        return {"status": "ok"}

    def _push(self, request: Request) -> object:
        pushed = msgspec.json.decode(request.body, type=_Push)
        wanted = script.parse(pushed.script) if isinstance(pushed.script, str) else pushed.script
        self._scripts.push(wanted, pushed.times)
        return {"scripts_waiting": self._scripts.waiting}


def _handler(method: str, answer: Callable[[Request], object]) -> Handler:
    async def handle(request: Request, link: Connection) -> bool:
        status = 200
        body: object
        if request.method != method:
            status, body = 405, {"error": f"use {method}"}
        else:
            try:
                body = answer(request)
            except (msgspec.DecodeError, ScriptError) as error:
                status, body = 400, {"error": str(error)}
        link.write(json_answer(status, body, keep_alive=request.keep_alive))
        await link.drain()
        return request.keep_alive

    return handle


def json_answer(status: int, body: object, *, keep_alive: bool) -> bytes:
    """Return a whole answer with a JSON body."""
    encoded = msgspec.json.encode(body)
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(encoded)}",
        f"connection: {'keep-alive' if keep_alive else 'close'}",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + encoded
