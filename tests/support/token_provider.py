"""
A login provider as a process of its own: refresh tokens that rotate, with a grace period or without, and a count.

    with Provider() as provider:
        token = provider.account("a")            a refresh token to begin with
        provider.set(grace=5.0, expires_in=2.0, delay=(0.0, 0.1))
        HttpTokenProvider(provider.url)          what a broker calls it with
        provider.current("a") == …               the only token that is good for sure
        provider.counts()                        {"calls": …, "granted": …, "refused": …, "reused": …}

It is as strict as providers come: only the newest token is good; one that was replaced is taken for `grace` seconds
more, and using it replaces the newest one. An answer is delayed after the token was replaced, not before.
"""

import asyncio
import contextlib
import http.client
import json
import random
import secrets
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec

from services.credentials.records import Secrets
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)

ROOT = Path(__file__).parents[2]
PREFIX = "rt-"  # every refresh token begins so: a canary that can be searched for


class HttpTokenProvider:
    """A `TokenProvider` over HTTP, as the product's own is."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        self._url = url
        # Plain HTTP: a context that has loaded no authorities costs nothing to make.
        verify = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._http = httpx2.AsyncClient(trust_env=False, timeout=timeout, verify=verify)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        path, token = "/token", secrets.refresh_token
        if mode is RefreshMode.RESOLVE:
            path, token = "/resolve", secrets.access_token
        try:
            answer = await self._http.post(self._url + path, json={"token": token})
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise TransientFailure(type(error).__name__) from None
        except httpx2.HTTPError as error:
            raise OutcomeUnknown(type(error).__name__) from None
        if answer.status_code == 400:
            raise InvalidGrant("invalid_grant")
        if answer.status_code != 200:
            raise TransientFailure(f"status {answer.status_code}")
        body = answer.json()
        new = msgspec.structs.replace(
            secrets, api_key=body["api_key"], refresh_token=body.get("refresh_token", secrets.refresh_token)
        )
        return RefreshedSecrets(secrets=new, expires_in=body["expires_in"])


class Provider:
    """Starts the process and talks to it; methods block, and are quick."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.token_provider"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.set(**self._settings)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def set(self, **settings: Any) -> None:
        self._ask("/set", settings)

    def account(self, name: str) -> str:
        token: str = self._ask("/account", {"name": name})["token"]
        return token

    def current(self, name: str) -> str:
        token: str = self._ask("/current", {"name": name})["token"]
        return token

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = self._ask("/counts", {})
        return found

    def times(self) -> list[tuple[str, float]]:
        """Return account and moment (`time.monotonic` of this machine) of every call."""
        return [(name, at) for name, at in self._ask("/times", {})["times"]]

    def _ask(self, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body).encode())
            return json.loads(connection.getresponse().read())


class _Account:
    def __init__(self, name: str) -> None:
        self.name = name
        self.serial = 0
        self.current = self._new()
        self.replaced: dict[str, float] = {}  # token -> when it stopped being the newest

    def _new(self) -> str:
        self.serial += 1
        return f"{PREFIX}{self.name}-{self.serial}-{secrets.token_hex(16)}"

    def use(self, token: str, grace: float) -> tuple[bool, bool]:
        """Rotate; returns whether the token was good, and whether it had been used before."""
        now = time.monotonic()
        reused = token in self.replaced
        if token != self.current and now - self.replaced.get(token, float("-inf")) > grace:
            return False, reused
        self.replaced[self.current] = now
        self.current = self._new()
        return True, reused


class _Server:
    def __init__(self) -> None:
        self.settings: dict[str, Any] = {
            "grace": 0.0,
            "expires_in": 3600.0,
            "delay": (0.0, 0.0),
            "cut": 0.0,
            "status": 200,
        }
        self.accounts: dict[str, _Account] = {}
        self.counts = {"calls": 0, "granted": 0, "refused": 0, "reused": 0}
        self.times: list[tuple[str, float]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line[15:]) for line in head.lower().splitlines() if line.startswith("content-length:")), 0
            )
            body = json.loads(await reader.readexactly(length) or b"{}")
            path = head.split(" ", 2)[1]
            if path in ("/token", "/resolve"):
                status, answer = await self.token(path, body["token"])
            else:
                status, answer = 200, self.control(path, body)
            if answer is not None:
                text = json.dumps(answer).encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(text)) + text
                )
                await writer.drain()
        writer.close()

    async def token(self, path: str, token: str) -> tuple[int, Any]:
        settings = self.settings
        name = token.removeprefix(PREFIX).rsplit("-", 2)[0]
        self.counts["calls"] += 1
        self.times.append((name, time.monotonic()))
        if settings["status"] != 200:
            return settings["status"], {}
        account = self.accounts[name]
        good, reused = (True, False) if path == "/resolve" else account.use(token, settings["grace"])
        self.counts["granted" if good else "refused"] += 1
        self.counts["reused"] += reused
        answer = {"api_key": f"key-{name}-{account.serial}", "expires_in": settings["expires_in"]}
        if path == "/token":
            answer["refresh_token"] = account.current
        cut = random.random() < settings["cut"]
        await asyncio.sleep(random.uniform(*settings["delay"]))
        if cut:
            return 0, None
        return (200, answer) if good else (400, {"error": "invalid_grant"})

    def control(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/set":
                self.settings |= body
            case "/account":
                account = self.accounts.setdefault(body["name"], _Account(body["name"]))
                return {"token": account.current}
            case "/current":
                return {"token": self.accounts[body["name"]].current}
            case "/counts":
                return self.counts
            case "/times":
                return {"times": self.times}
        return {}


async def _main() -> None:
    listener = await asyncio.start_server(_Server().serve, "127.0.0.1", 0, backlog=256)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
