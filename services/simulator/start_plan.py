"""
The start plan's gateway: two formats under one base, a JWT, and what it may ask for besides (upstream.md 1, 5, 7).

What it lets through is answered as the coding plan's chat is, scripts included. What it asks for is one JSON object,
`GET` and `POST /_simulator/start-plan`; a captcha token is good once, and one that begins with `bad` never is.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Literal

import msgspec

from services.simulator.chat import Chat
from services.simulator.connection import Connection, Handler
from services.simulator.control import PREFIX, json_answer
from services.simulator.records import Request
from services.simulator.wire import Wire

BASE: Final = "/api/v1/zcode-plan"
PATHS: Final = {
    Wire.OPENAI: f"{BASE}/chat/completions",
    Wire.ANTHROPIC: f"{BASE}/anthropic/v1/messages",
}
PARAM: Final = b"x-aliyun-captcha-verify-param"
REGION: Final = b"x-aliyun-captcha-verify-region"

_CONTROL: Final = f"{PREFIX}start-plan"


class StartPlanBehaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gateway asks for; `POST /_simulator/start-plan` changes the fields it names."""

    retired: tuple[Wire, ...] = ()  # formats whose route answers 404
    jwts: tuple[str, ...] = ()  # the ones that are good; empty: any. Another one is answered 401 without a body
    system_text: str = ""  # must be part of the system text, else 3012 "method not allowed"
    watched: bool = False  # the account is under risk control: 3012 "unusual activity"
    calm: int = 0  # so many next requests without a token are let through before anything is asked of them
    challenge: bool = False  # every request needs a captcha token
    challenges: int = 0  # so many next requests without a good token are challenged; used up by them
    challenge_form: Literal["header", "400", "403"] = "400"  # how a challenge looks
    region: str = ""  # the only region that is right; empty: any


class StartPlan:
    """Answers the start plan's routes. `behaviour` may be set by tests in process; `used` are captcha tokens."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self.reset()

    def reset(self) -> None:
        """Ask for nothing, and forget the tokens."""
        self.behaviour = StartPlanBehaviour()
        self.used: list[str] = []

    def change(self, fields: object) -> None:
        """Change the behaviour. Raises msgspec.ValidationError."""
        given = msgspec.convert(fields, dict[str, object])
        self.behaviour = msgspec.convert(msgspec.to_builtins(self.behaviour) | given, StartPlanBehaviour)

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        routes: dict[str, Handler] = {_CONTROL: self._control}
        for wire, path in PATHS.items():
            routes[path] = self._handler(wire, self._chat.handler(wire))
        return routes

    def _handler(self, wire: Wire, chat: Handler) -> Handler:
        async def handle(request: Request, link: Connection) -> bool:
            refusal = self._refusal(wire, request)
            if refusal is None:
                return await chat(request, link)
            link.write(refusal)
            await link.drain()
            return request.keep_alive

        return handle

    def _refusal(self, wire: Wire, request: Request) -> bytes | None:
        """Return what is answered instead of a chat; in the order in which the real one seems to look."""
        checks: tuple[Callable[[Wire, Request], bytes | None], ...] = (
            self._unless_retired,
            self._unless_known,
            self._unless_watched,
            self._unless_challenged,
            self._unless_foreign,
        )
        return next((found for check in checks if (found := check(wire, request)) is not None), None)

    def _unless_retired(self, wire: Wire, request: Request) -> bytes | None:
        if wire not in self.behaviour.retired:
            return None
        missing = {"timestamp": int(request.at * 1000), "status": 404, "error": "Not Found", "path": request.path}
        return json_answer(404, missing, keep_alive=request.keep_alive)

    def _unless_known(self, _wire: Wire, request: Request) -> bytes | None:
        scheme, _, jwt = (request.header(b"authorization") or b"").decode("latin-1").partition(" ")
        good = self.behaviour.jwts
        if scheme == "Bearer" and (jwt in good if good else bool(jwt)):
            return None
        return _bare(401, request)

    def _unless_watched(self, _: Wire, request: Request) -> bytes | None:
        return _gateway(403, 3012, "unusual activity detected", request) if self.behaviour.watched else None

    def _unless_challenged(self, _: Wire, request: Request) -> bytes | None:
        behaviour = self.behaviour
        sent = request.header(PARAM)
        if self._is_good(sent, request):
            return None
        if sent is None and behaviour.calm:
            self.behaviour = msgspec.structs.replace(behaviour, calm=behaviour.calm - 1)
            return None
        # A bad token is refused by one who asked for none, too.
        if sent is None and not behaviour.challenge:
            if not behaviour.challenges:
                return None
            self.behaviour = msgspec.structs.replace(behaviour, challenges=behaviour.challenges - 1)
        if behaviour.challenge_form == "header":
            return _bare(403, request, f"{PARAM.decode()}: challenge")
        return _gateway(int(behaviour.challenge_form), 3007, "captcha verification required", request)

    def _is_good(self, sent: bytes | None, request: Request) -> bool:
        """Use a captcha token up; one in the wrong region is used up as well."""
        token = (sent or b"").decode("latin-1")
        if not token or token in self.used or token.startswith("bad"):
            return False
        self.used.append(token)
        region = (request.header(REGION) or b"").decode("latin-1")
        return region == self.behaviour.region if self.behaviour.region else bool(region)

    def _unless_foreign(self, wire: Wire, request: Request) -> bytes | None:
        wanted = self.behaviour.system_text
        if not wanted or wanted in _system_text(wire, request.body):
            return None
        return _gateway(405, 3012, "method not allowed", request)

    async def _control(self, request: Request, link: Connection) -> bool:
        status = 200
        body: object = self.behaviour
        if request.method == "POST":
            try:
                self.change(msgspec.json.decode(request.body))
                body = self.behaviour
            except msgspec.DecodeError as error:
                status, body = 400, {"error": str(error)}
        link.write(json_answer(status, body, keep_alive=request.keep_alive))
        await link.drain()
        return request.keep_alive


class _Said(msgspec.Struct):
    role: str = ""
    content: object = None


class _Body(msgspec.Struct):
    system: object = None
    messages: list[_Said] = []


def _system_text(wire: Wire, body: bytes) -> str:
    """Return all text in a system's place; nothing for a body that is none, which the chat refuses."""
    try:
        read = msgspec.json.decode(body, type=_Body)
    except msgspec.DecodeError:
        return ""
    if wire is Wire.ANTHROPIC:
        return _text(read.system)
    return "\n".join(_text(said.content) for said in read.messages if said.role == "system")


def _text(content: object) -> str:
    if isinstance(content, list):
        return "\n".join(str(block.get("text", "")) for block in content if isinstance(block, dict))
    return content if isinstance(content, str) else ""


def _gateway(status: int, code: int, message: str, request: Request) -> bytes:
    return json_answer(status, {"code": code, "msg": message}, keep_alive=request.keep_alive)


def _bare(status: int, request: Request, *headers: str) -> bytes:
    """Return an answer without a body."""
    end = f"connection: {'keep-alive' if request.keep_alive else 'close'}"
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *headers, "content-length: 0", end, "", ""]
    return "\r\n".join(lines).encode("latin-1")
