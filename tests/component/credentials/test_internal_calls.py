"""
Calls between our processes cannot be replayed or forged (promises.md P-49).

Shown to fail once by: not remembering nonces; leaving the body out of the MAC; taking any age.
"""

import itertools
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from services.chassis.peer import proof
from services.chassis.peer.token_file import TokenFile, generate
from services.credentials.app import create_app
from services.credentials.contract import AUDIENCE, REPORT_PATH, SNAPSHOT_PATH, Kind, Report, ReportKind
from tests.component.credentials.conftest import show
from tests.support.credentials import RunningBroker, credential, running_broker
from tests.support.serving import running_server

Call = tuple[str, str, bytes, dict[str, str]]  # method, target, body, headers


class Peer:
    """A served broker, the token, and a client that knows nothing of either."""

    def __init__(self, service: RunningBroker, token: str, http: httpx2.AsyncClient) -> None:
        self.service = service
        self.token = token
        self.http = http
        self.models = (f"glm-{n}" for n in itertools.count())

    def report(self) -> bytes:
        """Return a report that would change something."""
        [record] = self.service.broker.records.values()
        kind = ReportKind.MODEL_BLOCKED
        return msgspec.json.encode(
            Report(credential_id=record.id, version=record.version, kind=kind, model=next(self.models))
        )

    def signed(self, body: bytes, *, token: str = "", now: float = 0.0, audience: str = AUDIENCE) -> Call:
        headers = proof.sign(
            token or self.token,
            "POST",
            REPORT_PATH,
            body,
            now=now or time.time(),
            nonce=secrets.token_urlsafe(16),
            audience=audience,
        )
        return "POST", REPORT_PATH, body, headers

    async def send(self, call: Call) -> httpx2.Response:
        method, target, body, headers = call
        return await self.http.request(method, target, content=body, headers=headers)


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    path = tmp_path / "token"
    generate(path)
    async with running_broker(tmp_path) as service:
        await service.add(credential(api_key="key-canary", kind=Kind.API_KEY))
        app = create_app(service.broker, tokens=TokenFile(path), store=service.store)
        async with (
            running_server(app) as server,
            httpx2.AsyncClient(base_url=server.url, trust_env=False) as http,
        ):
            peer = Peer(service, TokenFile(path).token, http)
            assert (await peer.send(peer.signed(peer.report()))).status_code == 200
            yield peer


def _forgeries(peer: Peer) -> Iterator[Call]:
    """Yield every kind of call that is not what it should be, each made from one that would be and was not sent."""
    now = time.time()

    def changed(
        *, method: str = "POST", target: str = REPORT_PATH, body: bytes | None = None, **headers: str | None
    ) -> Call:
        _, _, given, signed = peer.signed(peer.report())
        new = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in (signed | new).items() if value is not None}
        return method, target, given if body is None else body, kept

    yield changed(body=peer.report())
    yield changed(body=b"")
    yield changed(target=REPORT_PATH + "?x=1")
    yield changed(method="PUT")
    yield changed(target=SNAPSHOT_PATH)
    yield changed(x_zr_nonce=secrets.token_urlsafe(16))
    yield changed(x_zr_nonce="../../x")
    yield changed(x_zr_nonce=None)
    yield changed(x_zr_ts=str(int(now) + 2))
    yield changed(x_zr_ts="1e9")
    yield changed(x_zr_ts=None)
    yield changed(x_zr_mac="0" * 64)
    yield changed(x_zr_mac="")
    yield changed(x_zr_mac=None)
    yield changed(authorization=None)
    yield changed(authorization=f"Basic {peer.token}")
    yield peer.signed(peer.report(), token=secrets.token_urlsafe(32))
    yield peer.signed(peer.report(), now=now - random.uniform(31, 100_000))
    yield peer.signed(peer.report(), now=now + random.uniform(32, 100_000))
    yield peer.signed(peer.report(), audience="zr-captcha")


async def _refuses(peer: Peer, calls: int) -> None:
    accepted, sent = 0, 0
    before = peer.service.broker.records
    [record] = before.values()
    while sent < calls:
        good = peer.signed(b"{}")
        assert (await peer.send(good)).status_code == 400  # it is let in, and found to be no report
        for forged in (good, *_forgeries(peer)):
            answer = await peer.send(forged)
            accepted += answer.status_code != 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert b"canary" not in answer.content
            sent += 1
    after = await peer.service.vault.read_credential(record.id)

    show("P-49", sent, accepted)
    assert accepted == 0
    assert after == record


@pytest.mark.promise("P-49")
async def test_no_forged_or_repeated_call_is_taken(peer: Peer) -> None:
    await _refuses(peer, 1000)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-49")
async def test_none_of_ten_thousand_forged_or_repeated_calls_is_taken(peer: Peer) -> None:
    await _refuses(peer, 10_000)


@pytest.mark.parametrize("path", [SNAPSHOT_PATH, REPORT_PATH, "/", "/v1", "/v1/snapshot/", "/metrics", "/../x"])
async def test_nothing_is_told_without_a_token(peer: Peer, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": peer.token}, {"x-api-key": peer.token}):
        answer = await peer.http.get(path, headers=headers)

        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_two_authorization_headers_are_none(peer: Peer) -> None:
    good = ("authorization", f"Bearer {peer.token}")
    answer = await peer.http.get(SNAPSHOT_PATH, headers=[good, ("authorization", "Bearer x")])

    assert answer.status_code in (400, 401)


async def test_a_replay_is_named_as_one(peer: Peer) -> None:
    call = peer.signed(peer.report())
    first, second = await peer.send(call), await peer.send(call)

    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 401, "replayed")


@pytest.mark.parametrize(
    "change", [lambda old, new: f"{old}\n{new}\n", lambda _, new: f"{new}\n"], ids=["added", "replaced"]
)
async def test_a_token_is_replaced_without_a_restart(
    peer: Peer, tmp_path: Path, change: Callable[[str, str], str]
) -> None:
    old, new = peer.token, secrets.token_urlsafe(32)
    (tmp_path / "token").write_text(change(old, new))
    accepted = [
        (await peer.http.get(SNAPSHOT_PATH, headers={"authorization": f"Bearer {token}"})).status_code
        for token in (old, new)
    ]

    assert accepted == [200 if old in change(old, new) else 401, 200]


async def test_a_missing_token_file_lets_nobody_in(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    answer = await peer.http.get(SNAPSHOT_PATH, headers={"authorization": f"Bearer {peer.token}"})

    assert answer.status_code == 503


async def test_a_store_that_is_away_lets_nothing_be_changed(peer: Peer) -> None:
    await peer.service.store.aclose()
    answer = await peer.send(peer.signed(peer.report()))

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
