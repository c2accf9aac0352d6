"""
The simulator as a whole: which area answers which path.

One file per area: `chat` (coding plan), `start_plan`, `captcha`, `identity` (logins and the account), `allowance`
(what is left of a plan) and `control`.
"""

from services.simulator.accounts import Accounts
from services.simulator.allowance import AllowanceArea
from services.simulator.captcha import CaptchaArea
from services.simulator.chat import Chat
from services.simulator.connection import Connection
from services.simulator.control import PREFIX, Control, json_answer
from services.simulator.identity import Identity
from services.simulator.records import Records, Request
from services.simulator.scripts import load
from services.simulator.settings import SimulatorSettings
from services.simulator.start_plan import StartPlan

_HOME = {"service": "zcode-simulator", "message": "A stand-in for the upstream: every answer is simulated."}


class Simulator:
    """Answers requests. What is public here is the in-process side of control."""

    def __init__(self, settings: SimulatorSettings = SimulatorSettings()) -> None:  # noqa: B008 (a frozen value)
        self.settings = settings
        self.records = Records(settings)
        self.scripts = load(settings.scripts_file)
        self.accounts = Accounts()
        self.chat = Chat(settings, self.scripts, self.records, self.accounts)
        self.start_plan = StartPlan(self.chat)
        self.captcha = CaptchaArea()
        self.allowance = AllowanceArea(self.records)
        self._identity = Identity(self.accounts)
        resets = (self.accounts.reset, self.start_plan.reset, self.captcha.reset, self.allowance.reset)
        control = Control(self.scripts, self.records, *resets)
        areas = (self.chat, self.start_plan, self.captcha, self.allowance, control)
        self._routes = {path: handler for area in areas for path, handler in area.routes().items()}
        self._connections: set[Connection] = set()

    def connection(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self.records, self._handle, self._connections)

    def drop_connections(self) -> None:
        """Drop every connection, because the server stops."""
        for connection in list(self._connections):
            connection.abort()

    async def _handle(self, request: Request, link: Connection) -> bool:
        if not request.path.startswith(PREFIX):
            self.records.add(request)
        handler = self._routes.get(request.path) or self._identity.handler(request.path)
        if handler is not None:
            return await handler(request, link)
        status, body = (200, _HOME) if request.path == "/" else (404, _not_found(request))
        link.write(json_answer(status, body, keep_alive=request.keep_alive))
        await link.drain()
        return request.keep_alive


def _not_found(request: Request) -> dict[str, object]:
    # The upstream's web framework answers unknown paths itself, in a shape of its own.
    return {"timestamp": int(request.at * 1000), "status": 404, "error": "Not Found", "path": request.path}
