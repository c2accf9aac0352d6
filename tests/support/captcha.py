"""
The captcha service on loopback, in the test's own event loop, with the simulator as its provider.

    async with running_captcha(tmp_path) as running:
        answer = await running.issuer.token(...)
        running.link()
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from services.captcha.app import Paths, create_peers
from services.captcha.client import CaptchaClient
from services.captcha.contract import TokenRequest
from services.captcha.passes import Passes
from services.captcha.service import Service, ServiceSettings, open_keys, running_service
from services.captcha.settings import CaptchaSettings
from services.chassis.clock import Clock, SystemClock
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.secret import Secret
from services.credentials.settings import StoreSettings
from services.simulator.app import Simulator
from services.simulator.captcha import CONFIGS_PATH, WIDGET_PATH
from tests.support.serving import RunningServer, running_server
from tests.support.simulated import TEST_SETTINGS, running_simulator

# {"alg":"none"} . {"iat":1760000000,"sub":"canary"} . x
JWT = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3NjAwMDAwMDAsInN1YiI6ImNhbmFyeSJ9.x"
PROVIDER = "zai"


class RunningCaptcha:
    """A served service and what a test wants of it."""

    def __init__(
        self, service: Service, server: RunningServer, simulator: Simulator, settings: ServiceSettings, tokens: Path
    ) -> None:
        self.service = service
        self.issuer = service.issuer
        self.bank = service.bank
        self.server = server
        self.url = server.url
        self.simulator = simulator
        self.settings = settings
        self.tokens = tokens
        self._passes = Passes(open_keys(settings.captcha, settings.store), lambda: secrets.token_urlsafe(16))

    @property
    def passes(self) -> Passes:
        return self._passes

    def link(self, now: float | None = None, provider: str = PROVIDER) -> str:
        """Return a one-time link; `now` seconds since the epoch makes an old one."""
        import time

        return f"{self.url}/captcha#{self._passes.link(provider, time.time() if now is None else now)}"

    def client(self) -> CaptchaClient:
        """Return a client over HTTP, to be closed by the caller."""
        return CaptchaClient(self.url, tokens=TokenFile(self.tokens))


class LaterClock(SystemClock):
    """The machine's clock, ahead by as much as was added."""

    __slots__ = ("ahead",)

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def request(number: int = 0, *, wait: float = 0.0, challenged: bool = True, attempt: int = 0) -> TokenRequest:
    """Return a request for a token, by default of a try that was challenged."""
    return TokenRequest(
        request_id=f"request-{number}", provider=PROVIDER, challenged=challenged, wait=wait, attempt=attempt
    )


@asynccontextmanager
async def running_captcha(
    directory: Path,
    captcha: CaptchaSettings = CaptchaSettings(),  # noqa: B008 -- frozen
    *,
    simulator: Simulator | None = None,
    store_url: str | None = None,
    jwt: str | None = JWT,
    clock: Clock | None = None,
) -> AsyncIterator[RunningCaptcha]:
    """Serve the page and the contract on one free port."""
    simulator = simulator or Simulator(TEST_SETTINGS)
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(running_simulator(simulator))
        settings = ServiceSettings(
            captcha=msgspec.structs.replace(captcha, sdk_url=origin + WIDGET_PATH),
            store=StoreSettings(dir=str(directory / "store"), url=store_url),
            provider=PROVIDER,
            configs_url=origin + CONFIGS_PATH,
            jwt=None if jwt is None else Secret(jwt),
            app_version="3.2.2",
        )
        service = await stack.enter_async_context(running_service(settings, None, clock=clock))
        tokens = directory / "peers.token"
        generate(tokens)
        peers = create_peers(service.issuer, service.bank, service.view, tokens=TokenFile(tokens))
        server = await stack.enter_async_context(running_server(Paths(peers, service.page)))
        stack.callback(service.end_waits)
        yield RunningCaptcha(service, server, simulator, settings, tokens)
