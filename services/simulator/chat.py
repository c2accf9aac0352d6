"""The coding plan's chat endpoints, for both providers: the same paths on other hosts, so one set here."""

import functools
import hmac
import time
from collections.abc import Callable
from typing import Final

import msgspec

from services.chassis.secret import Secret
from services.simulator import conversation, delivery, plan
from services.simulator.accounts import Accounts
from services.simulator.connection import Connection, Handler
from services.simulator.plan import Plan
from services.simulator.records import Records, Request
from services.simulator.script import Script, ScriptError
from services.simulator.scripts import Scripts
from services.simulator.settings import SimulatorSettings
from services.simulator.wire import Wire

PATHS: Final = {
    "/api/anthropic/v1/messages": Wire.ANTHROPIC,
    "/api/coding/paas/v4/chat/completions": Wire.OPENAI,
}
_CACHED_BODY: Final = 64 * 1024
_OPTIONS: Final = Script()


class _Prepared(msgspec.Struct, frozen=True):
    """A plan, and its bytes where they go out in one write."""

    plan: Plan
    whole: bytes | None


class Chat:
    """Answers chat requests."""

    def __init__(self, settings: SimulatorSettings, scripts: Scripts, records: Records, accounts: Accounts) -> None:
        self.keys: tuple[Secret, ...] = settings.keys
        self._scripts = scripts
        self._records = records
        self._accounts = accounts
        self._demo = Script(pace=settings.pace_ms / 1000)
        self._created = int(time.time())
        # The same body and script give the same answer, so a benchmark's repeated request is rendered once.
        self._cached = functools.lru_cache(maxsize=64)(self._prepare)

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        return {path: self.handler(wire) for path, wire in PATHS.items()}

    def handler(self, wire: Wire) -> Handler:
        """Return what answers a chat in one dialect, wherever it is served."""
        return functools.partial(self._answer, wire)

    async def _answer(self, wire: Wire, request: Request, link: Connection) -> bool:
        self._records.open_streams += 1
        try:
            reusable = await self._send(wire, request, link)
        finally:
            self._records.open_streams -= 1
        self._records.completed += 1
        return reusable

    async def _send(self, wire: Wire, request: Request, link: Connection) -> bool:
        prepared, script = self._prepared(wire, request)
        if prepared.whole is None:
            return await delivery.deliver(link, prepared.plan, script, keep_alive=request.keep_alive)
        link.write(prepared.whole)
        await link.drain()
        return request.keep_alive

    def _prepared(self, wire: Wire, request: Request) -> tuple[_Prepared, Script]:
        refuse = functools.partial(self._refuse, wire, request)
        if request.method != "POST":
            return refuse("1222", f"{request.method} is not offered here"), _OPTIONS
        if not self._is_authorized(wire, request):
            return refuse("1001", "The request carries no valid credential"), _OPTIONS
        header = request.header(b"x-simulate")
        try:
            script = self._scripts.choose(
                None if header is None else header.decode("latin-1"), conversation.model_of(request.body)
            )
        except ScriptError as error:
            return refuse("1210", str(error)), _OPTIONS
        if script is None:
            script = self._demo
        prepare: Callable[[Wire, bytes, Script, bytes, bool], _Prepared]
        prepare = self._cached if len(request.body) <= _CACHED_BODY and script.error is None else self._prepare
        try:
            offered = request.header(b"accept-encoding") or b""
            return prepare(wire, request.body, script, offered, request.keep_alive), script
        except conversation.BadRequestError as error:
            return refuse(error.code, error.message), _OPTIONS

    def _prepare(self, wire: Wire, body: bytes, script: Script, offered: bytes, keep_alive: bool) -> _Prepared:
        # An error may name a time to come; everything else is the same at any time.
        created = self._created if script.error is None else int(time.time())
        made = plan.make(conversation.read(wire, body), script, offered, created)
        return _Prepared(made, delivery.at_once(made, script, keep_alive=keep_alive))

    def _refuse(self, wire: Wire, request: Request, code: str, message: str) -> _Prepared:
        made = plan.refusal(wire, code, message, f"simulated-{request.number}")
        return _Prepared(made, delivery.at_once(made, _OPTIONS, keep_alive=request.keep_alive))

    def _is_authorized(self, wire: Wire, request: Request) -> bool:
        """Look for the credential where upstream.md section 1 puts it; the Anthropic endpoint also takes a Bearer."""
        given = request.header(b"x-api-key") if wire is Wire.ANTHROPIC else None
        if given is None:
            scheme, _, given = (request.header(b"authorization") or b"").partition(b" ")
            given = given.strip() if scheme.lower() == b"bearer" else b""
        # A key that a login made is good until it is revoked, whatever other keys there are.
        made = given.decode("latin-1")
        if made in self._accounts.revoked_keys:
            return False
        if not self.keys or made in self._accounts.issued_keys:
            return bool(given)
        return any(hmac.compare_digest(given, key.reveal().encode()) for key in self.keys)
