"""
Logging in: carries the steps of a flow out, and turns what comes of it into the secrets of a credential.

The person is a port, because a terminal and an admin page ask differently; nothing here prints.
"""

import asyncio
import secrets as chance
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Final, Protocol, TypeVar

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.credentials.errors import LoginFailed
from services.credentials.oauth import flows
from services.credentials.oauth.answers import CallFailed, Kind
from services.credentials.oauth.callback import Accepted, judge_pasted
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.loopback_listener import LoopbackListener
from services.credentials.oauth.resolution import resolve
from services.credentials.oauth.steps import (
    Ask,
    Await,
    Expected,
    Flow,
    Invite,
    Look,
    Moment,
    Pause,
    Reply,
    Step,
    Tokens,
)
from services.credentials.oauth.vendors import PASTE_PAGE, Addresses, Vendor
from services.credentials.records import Secrets

T = TypeVar("T")

_BYTES: Final = 32  # 256 bits for a state, a verifier, a poll token


class Way(Enum):
    """The three flows."""

    POLL = "poll"
    LOOPBACK = "loopback"
    PASTE = "paste"


class Person(Protocol):
    """Who logs in."""

    def invite(self, way: Way, url: str, seconds: float) -> None:
        """Show the address to open, and how long there is time."""

    def refused(self, why: str) -> None:
        """Say why a pasted address will not do."""

    async def line(self) -> str:
        """
        Return the next line that was typed or pasted; raises EOFError when there will be none.

        While the browser is waited for, an empty line asks for another way.
        """


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a login yields; `unresolved` says why there is no key for the coding plan."""

    provider: str
    secrets: Secrets
    user_id: str | None = None
    expires_in: float | None = None  # seconds from now
    unresolved: str | None = None


class LoginOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings have to say."""

    callback_port: int = 0  # 0: any free one
    app_version: str = ""  # in the paste flow's address
    key_required: bool = True  # False: the start-plan's token alone is worth having


class NotOffered(LoginFailed):
    """The provider does not offer this flow; another may do."""


class Login:
    """One attempt to log in to one provider."""

    def __init__(
        self,
        vendor: Vendor,
        addresses: Addresses,
        caller: Caller,
        person: Person,
        options: LoginOptions,
        *,
        clock: Clock | None = None,
        random: Callable[[int], str] = chance.token_hex,
    ) -> None:
        self._vendor = vendor
        self._addresses = addresses
        self._caller = caller
        self._person = person
        self._options = options
        self._clock = clock or SystemClock()
        self._random = random

    async def run(self, way: Way) -> LoggedIn:
        """
        Log in by one flow.

        Raises NotOffered, LoginFailed, and CannotListen for a callback port that is taken.
        """
        try:
            tokens = await self._tokens(way)
        except CallFailed as failure:
            # A 404 elsewhere means that the login was made and something behind it is missing: no other flow helps.
            if way is Way.POLL and failure.kind is Kind.NOT_OFFERED:
                raise NotOffered(str(failure)) from None
            raise _failed(failure) from None
        return await self._resolved(tokens)

    async def _tokens(self, way: Way) -> Tokens:
        if way is Way.POLL:
            return await self._drive(way, flows.poll(self._vendor, self._addresses, Secret(self._random(_BYTES))), None)
        if way is Way.PASTE:
            attempt = self._attempt(PASTE_PAGE.format(version=self._options.app_version))
            return await self._drive(way, flows.paste(self._vendor, self._addresses, attempt), None)
        async with LoopbackListener(self._vendor.callback_path, self._options.callback_port) as listener:
            attempt = self._attempt(listener.address)
            return await self._drive(way, flows.loopback(self._vendor, self._addresses, attempt), listener)

    def _attempt(self, redirect_uri: str) -> flows.Attempt:
        return flows.Attempt(
            redirect_uri=redirect_uri, state=Secret(self._random(_BYTES)), verifier=Secret(self._random(_BYTES))
        )

    async def _resolved(self, tokens: Tokens) -> LoggedIn:
        api_key, unresolved = None, None
        try:
            api_key = await self._drive(
                Way.POLL, resolve(self._vendor, self._addresses, tokens.access_token), listener=None
            )
        except CallFailed as failure:
            if self._options.key_required or tokens.start_plan_jwt is None:
                raise _failed(failure) from None
            unresolved = str(failure)
        return LoggedIn(
            provider=self._vendor.name,
            secrets=Secrets(
                api_key=api_key,
                access_token=tokens.access_token,
                refresh_token=tokens.refresh_token,
                start_plan_jwt=tokens.start_plan_jwt,
            ),
            user_id=tokens.user_id,
            expires_in=tokens.expires_in,
            unresolved=unresolved,
        )

    async def _drive(self, way: Way, flow: Flow[T], listener: LoopbackListener | None) -> T:
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._carry_out(way, step, listener)

    async def _carry_out(self, way: Way, step: Step, listener: LoopbackListener | None) -> Reply:
        match step:
            case Ask():
                return await self._caller.call(step)
            case Look():
                return Moment(self._clock.now(), self._clock.monotonic())
            case Pause():
                await asyncio.sleep(step.seconds)
                return None
            case Invite():
                self._person.invite(way, step.url, step.seconds)
                return None
            case Await():
                return await self._code(step, listener)

    async def _code(self, step: Await, listener: LoopbackListener | None) -> str | None:
        """Wait for the callback, and for the same address being pasted: a browser may be unable to come back."""
        found: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        tasks = Tasks()
        sources = [self._pasted(step.expected, other_ways=listener is not None)]
        if listener is not None:
            listener.expect(step.expected)
            sources.append(listener.code())
        try:
            for source in sources:
                _ = tasks.start(_tell(source, found), name="login callback")
            async with asyncio.timeout(step.seconds):
                return await found
        except TimeoutError:
            return None
        finally:
            await tasks.aclose()

    async def _pasted(self, expected: Expected, *, other_ways: bool) -> str:
        while True:
            try:
                line = await self._person.line()
            except EOFError:
                if not other_ways:
                    raise LoginFailed("the input ended before an address was pasted") from None
                await asyncio.get_running_loop().create_future()  # until the browser comes back
                raise
            if not line.strip():
                if other_ways:
                    raise NotOffered("another way was asked for")
                continue
            verdict = judge_pasted(line, expected)
            if isinstance(verdict, Accepted):
                return verdict.code.reveal()
            self._person.refused(verdict.why)


def _failed(failure: CallFailed) -> LoginFailed:
    return LoginFailed(str(failure) + (f": {failure.said}" if failure.said else ""))


async def _tell(source: Coroutine[None, None, str], found: asyncio.Future[str]) -> None:
    """Pass on what a source has, or why it ended the flow."""
    try:
        code = await source
    except LoginFailed as failure:
        if not found.done():
            found.set_exception(failure)
        return
    if not found.done():
        found.set_result(code)
