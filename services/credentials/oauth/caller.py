"""
The calls of a login, over httpx2: bounded in time and size, no redirect followed, no cookie kept.

Nothing of an answer or of an error of the library gets into a message, because addresses and bodies hold secrets.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import httpx2
import msgspec

from services.credentials.oauth.steps import Answer, Ask, NoAnswer

_LARGEST: Final = 64 * 1024  # bytes of an answer
_MAX_RETRY_AFTER: Final = 86_400.0

# What is raised before a byte of the request went out: certain to have done nothing.
_UNSENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
)


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds for DNS, TCP and TLS, and for a whole call."""

    connect: float = 3.0
    total: float = 10.0


def _direct(_: str) -> str | None:
    return None


class Caller:
    """Makes calls; `proxy_for` names the proxy of a host, None: none."""

    def __init__(
        self,
        *,
        user_agent: str,
        ca_file: str | None = None,
        proxy_for: Callable[[str], str | None] = _direct,
        limits: CallLimits = CallLimits(),  # noqa: B008 (a frozen value)
    ) -> None:
        self._headers = {"user-agent": user_agent, "accept": "application/json", "accept-encoding": "identity"}
        self._tls = ssl.create_default_context()
        if ca_file is not None:
            self._tls.load_verify_locations(cafile=ca_file)
        self._proxy_for = proxy_for
        self._limits = limits
        self._clients: dict[str | None, httpx2.AsyncClient] = {}

    async def call(self, ask: Ask, *, seconds: float | None = None) -> Answer | NoAnswer:
        """Make one call, in `seconds` at most where that is less than the limit."""
        total = self._limits.total if seconds is None else min(seconds, self._limits.total)
        if total <= 0:
            return NoAnswer(sent=False, why="no time is left")
        client = self._client(self._proxy_for(urlsplit(ask.url).hostname or ""))
        progress = _Progress()
        try:
            async with asyncio.timeout(total):
                return await self._exchange(client, ask, progress)
        except TimeoutError:
            return NoAnswer(sent=progress.sent, why=f"nothing within {total:.0f} s")
        except _UNSENT as error:
            return NoAnswer(sent=False, why=_words(error))
        except httpx2.HTTPError as error:
            return NoAnswer(sent=True, why=_words(error))

    async def _exchange(self, client: httpx2.AsyncClient, ask: Ask, progress: "_Progress") -> Answer | NoAnswer:
        headers = dict(self._headers)
        if ask.authorization is not None:
            headers["authorization"] = ask.authorization.reveal()
        content = None
        if ask.fields is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(ask.fields)
        request = client.build_request(
            ask.method, ask.url, headers=headers, content=content, extensions={"trace": progress.trace}
        )
        response = await client.send(request, stream=True)
        try:
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > _LARGEST:
                    return NoAnswer(sent=True, why="the answer is too large")
            return Answer(response.status_code, bytes(body), _retry_after(response.headers.get("retry-after")))
        finally:
            await response.aclose()
            client.cookies.clear()

    def _client(self, proxy: str | None) -> httpx2.AsyncClient:
        if proxy not in self._clients:
            self._clients[proxy] = httpx2.AsyncClient(
                verify=self._tls,
                proxy=proxy,
                trust_env=False,
                follow_redirects=False,
                timeout=httpx2.Timeout(self._limits.total, connect=self._limits.connect),
            )
        return self._clients[proxy]

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


class _Progress:
    """Whether the request has begun to go out."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, _: dict[str, object]) -> None:
        """Follow httpcore2's events; a coroutine because it insists."""
        if event == "http11.send_request_headers.started":
            self.sent = True


def _retry_after(value: str | None) -> float | None:
    """Read the header where it names seconds; a date is not worth another clock."""
    if value is None or not value.strip().isdecimal() or len(value) > 10:
        return None
    return min(float(value), _MAX_RETRY_AFTER)


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not valid"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx2.ProxyError):
        return "the proxy refused"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return "the request cannot be made"
    return "no connection" if isinstance(error, _UNSENT) else "the connection broke off"
