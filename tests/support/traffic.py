"""Clients that never let go: streams that are always open, and short requests, all of which must end well."""

import asyncio
from typing import Final

import httpx2

_ENDS: Final = {"/v1/chat/completions": b"data: [DONE]", "/v1/messages": b"event: message_stop"}


class Traffic:
    """Streams that are always open, each replaced by another when it ends, and short requests between them."""

    def __init__(self, address: str, key: str, *, streams: int, seconds: float) -> None:
        self._address = address
        self._headers = {"authorization": f"Bearer {key}"}
        self._streams = streams
        self._model = f"sim:events=60;pace={int(seconds * 1000 / 60)}ms"
        self.whole = self.short = 0
        self.faults: list[str] = []
        self.ending = asyncio.Event()

    async def run(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        async with (
            httpx2.AsyncClient(timeout=120, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._streams):
                _ = group.create_task(self._stream_on(client, number))
            for _n in range(4):
                _ = group.create_task(self._ask_on(client))

    async def _stream_on(self, client: httpx2.AsyncClient, number: int) -> None:
        path = list(_ENDS)[number % 2]
        await asyncio.sleep(number * 0.01)  # not all in the same instant
        while not self.ending.is_set():
            try:
                async with client.stream(
                    "POST", self._address + path, json=self._question(True), headers=self._headers
                ) as answer:
                    body = await answer.aread()
            except httpx2.HTTPError as error:
                self.faults.append(f"{path}: {type(error).__name__} {error}")
                continue
            if answer.status_code != 200 or not body.rstrip().endswith((_ENDS[path], b'{"type":"message_stop"}')):
                self.faults.append(f"{path}: {answer.status_code} {body[-200:]!r}")
            else:
                self.whole += 1

    async def _ask_on(self, client: httpx2.AsyncClient) -> None:
        while not self.ending.is_set():
            try:
                answer = await client.post(
                    self._address + "/v1/messages", json=self._question(False), headers=self._headers
                )
            except httpx2.HTTPError as error:
                self.faults.append(f"short: {type(error).__name__} {error}")
                continue
            self.short += answer.status_code == 200
            if answer.status_code != 200:
                self.faults.append(f"short: {answer.status_code} {answer.content[:200]!r}")
            await asyncio.sleep(0.02)

    def _question(self, stream: bool) -> dict[str, object]:
        messages = [{"role": "user", "content": "hello"}]
        return {
            "model": self._model if stream else "sim:events=2",
            "max_tokens": 64,
            "stream": stream,
            "messages": messages,
        }
