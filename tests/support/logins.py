"""A person with a browser, and where a simulator's logins are."""

import asyncio
from typing import Final

import httpx2

from services.credentials.login import Login, LoginOptions, Way
from services.credentials.oauth.caller import Caller, CallLimits
from services.credentials.oauth.vendors import VENDORS, Addresses

OPTIONS: Final = LoginOptions(app_version="3.2.2")


def addresses(origin: str, provider: str = "zai") -> Addresses:
    """Return the addresses of a provider that the simulator at `origin` plays."""
    return Addresses(
        authorize_url=origin + {"zai": "/api/oauth/authorize", "bigmodel": "/login"}[provider],
        token_url=f"{origin}/api/v1/oauth/token",
        init_url=f"{origin}/api/v1/oauth/cli/init",
        poll_url=f"{origin}/api/v1/oauth/cli/poll",
        biz_base=origin,
        login_url=f"{origin}/api/auth/z/login",
    )


def caller(*, total: float = 10.0) -> Caller:
    """Return what makes calls; close it."""
    return Caller(user_agent="ZCode/3.2.2", limits=CallLimits(total=total))


async def visit(url: str) -> str:
    """Open the provider's page, and return where it leads to (empty: nowhere)."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        answer = await browser.get(url)
    location: str = answer.headers.get("location", "")
    return location


class Person:
    """
    Implements `login.Person`: keeps what it is shown, types what it is given.

    `invited` is the address to open; what to do with it is the test's business.
    """

    def __init__(self) -> None:
        self.invited: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ways: list[tuple[Way, float]] = []
        self.refusals: list[str] = []
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

    def invite(self, way: Way, url: str, seconds: float) -> None:
        self.ways.append((way, seconds))
        self.invited.set_result(url)

    def refused(self, why: str) -> None:
        self.refusals.append(why)

    async def line(self) -> str:
        line = await self._lines.get()
        if line is None:
            raise EOFError
        return line

    def types(self, line: str) -> None:
        """Type a line."""
        self._lines.put_nowait(line)

    def leaves(self) -> None:
        """Type nothing more."""
        self._lines.put_nowait(None)


def login(origin: str, person: Person, calls: Caller, provider: str = "zai", options: LoginOptions = OPTIONS) -> Login:
    """Return an attempt to log in to the simulator at `origin`."""
    return Login(VENDORS[provider], addresses(origin, provider), calls, person, options)
