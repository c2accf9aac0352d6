"""
Calls between our processes cannot be replayed or forged (promises.md P-49).

Once with the token of a file, once with ServiceAccounts' projected tokens, where the token may be forged as well.

Shown to fail once by: not remembering nonces; leaving the body out of the MAC; taking any age; taking a ServiceAccount's
token without looking at whom it is for, at its account, at its end or at its signature.
"""

import base64
import hmac
import itertools
import json
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization

from services.chassis.peer import proof
from services.chassis.peer.issuer_keys import accounts_of
from services.chassis.peer.service_accounts import ServiceAccounts
from services.chassis.peer.settings import ServiceAccountSettings
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.process import Tasks
from services.credentials.app import create_app
from services.credentials.contract import AUDIENCE, REPORT_PATH, SNAPSHOT_PATH, Kind, Report, ReportKind
from tests.component.credentials.conftest import show
from tests.support.credentials import RunningBroker, credential, running_broker
from tests.support.kubernetes import ISSUER, Signer, pod_claims
from tests.support.serving import running_server

GATEWAY = "llm/zcode-proxy-gateway"
CLUSTER, STRANGER = Signer(), Signer()

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


@asynccontextmanager
async def _peer(tmp_path: Path, accounts: ServiceAccounts | None, token: str) -> AsyncIterator[Peer]:
    path = tmp_path / "token"
    generate(path)
    async with running_broker(tmp_path) as service:
        await service.add(credential(api_key="key-canary", kind=Kind.API_KEY))
        app = create_app(service.broker, tokens=TokenFile(path), store=service.store, accounts=accounts)
        async with (
            running_server(app) as server,
            httpx2.AsyncClient(base_url=server.url, trust_env=False) as http,
        ):
            peer = Peer(service, token or TokenFile(path).token, http)
            assert (await peer.send(peer.signed(peer.report()))).status_code == 200
            yield peer


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Peer]:
    async with _peer(tmp_path, None, "") as found:
        yield found


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Peer]:
    """A peer whose token is the projected one of a ServiceAccount that may call."""
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [CLUSTER.jwk]}))
    settings = ServiceAccountSettings(allow=(GATEWAY,), jwks=str(tmp_path / "jwks.json"), issuer=ISSUER)
    async with (
        Tasks() as tasks,
        _peer(tmp_path, accounts_of(settings, AUDIENCE, tasks), CLUSTER.token(GATEWAY, AUDIENCE)) as found,
    ):
        yield found


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


def _forged_tokens() -> Iterator[str]:
    """Yield tokens that are not those of an account that may call here; each is signed with as if it were."""
    claims, stranger = pod_claims(GATEWAY, AUDIENCE), Signer(STRANGER.key, CLUSTER.kid)
    public = CLUSTER.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    head, body, signature = CLUSTER.token(GATEWAY, AUDIENCE).split(".")
    other = CLUSTER.token("llm/another", AUDIENCE).split(".")

    yield CLUSTER.token(GATEWAY, AUDIENCE, exp=time.time() - random.uniform(31, 100_000))
    yield CLUSTER.token(GATEWAY, AUDIENCE, exp=None)
    yield CLUSTER.token(GATEWAY, AUDIENCE, nbf=time.time() + random.uniform(31, 100_000))
    yield CLUSTER.token(GATEWAY, AUDIENCE, exp=time.time() + 1_000_000)
    yield CLUSTER.token(GATEWAY, AUDIENCE, iss="https://another.example")
    yield CLUSTER.token(GATEWAY, "zr-captcha")
    yield CLUSTER.token(GATEWAY, "https://kubernetes.default.svc")
    yield CLUSTER.token("llm/another", AUDIENCE)
    yield CLUSTER.token("another/zcode-proxy-gateway", AUDIENCE)
    yield CLUSTER.token(GATEWAY, AUDIENCE, sub="system:serviceaccount:llm:another")
    yield CLUSTER.token(GATEWAY, AUDIENCE, padding="x" * 8192)
    yield stranger.token(GATEWAY, AUDIENCE)
    yield STRANGER.token(GATEWAY, AUDIENCE)
    yield jwt.encode(claims, None, algorithm="none", headers={"kid": CLUSTER.kid})
    yield f"{head}.{body}."
    yield f"{head}.{other[1]}.{signature}"
    yield f"{_part({'alg': 'none', 'kid': CLUSTER.kid})}.{body}."
    confused = f"{_part({'alg': 'HS256', 'kid': CLUSTER.kid})}.{body}"
    mac = hmac.digest(public, confused.encode(), "sha256")
    yield f"{confused}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def _refuses(peer: Peer, calls: int, forged_tokens: Callable[[], Iterator[str]] = lambda: iter(())) -> None:
    accepted, sent = 0, 0
    before = peer.service.broker.records
    [record] = before.values()
    while sent < calls:
        good = peer.signed(b"{}")
        assert (await peer.send(good)).status_code == 400  # it is let in, and found to be no report
        with_tokens = [peer.signed(peer.report(), token=token) for token in forged_tokens()]
        for forged in (good, *_forgeries(peer), *with_tokens):
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


@pytest.mark.promise("P-49")
async def test_no_forged_or_repeated_call_of_a_pod_is_taken(pod: Peer) -> None:
    await _refuses(pod, 1000, _forged_tokens)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-49")
async def test_none_of_ten_thousand_forged_or_repeated_calls_of_a_pod_is_taken(pod: Peer) -> None:
    await _refuses(pod, 10_000, _forged_tokens)


@pytest.mark.promise("P-49")
async def test_a_forged_token_learns_nothing_by_reading_either(pod: Peer) -> None:
    good = await pod.http.get(SNAPSHOT_PATH, headers={"authorization": f"Bearer {pod.token}"})
    answers = [
        await pod.http.get(SNAPSHOT_PATH, headers={"authorization": f"Bearer {token}"}) for token in _forged_tokens()
    ]

    assert good.status_code == 200
    assert {answer.status_code for answer in answers} == {401}
    assert b"canary" in good.content
    assert not any(b"canary" in answer.content for answer in answers)


async def test_the_token_of_the_file_goes_on_being_taken_beside_accounts(pod: Peer, tmp_path: Path) -> None:
    token = TokenFile(tmp_path / "token").token

    assert (await pod.send(pod.signed(pod.report(), token=token))).status_code == 200


async def test_a_pods_token_is_none_where_no_account_may_call(peer: Peer) -> None:
    answer = await peer.send(peer.signed(peer.report(), token=CLUSTER.token(GATEWAY, AUDIENCE)))

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


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
