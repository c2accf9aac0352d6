"""
The keys of who issues ServiceAccount tokens: fetched from an API server over TLS, kept while it is away, and not asked
for at a stranger's pleasure.

Shown to fail once by: fetching for every unknown key; forgetting the keys of a server that fails; a fetch that ends
with the first who waits for it; a token for the API server that is read once; trusting any API server.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.peer.issuer_keys import AT_MOST, EVERY, IssuerKeys, SourceAway, accounts_of, source_of
from services.chassis.peer.service_accounts import KeysAway
from services.chassis.peer.settings import ServiceAccountSettings
from services.chassis.process import Tasks
from services.chassis.server_tls import CertificateFiles, ServerTls
from tests.support.certificates import Authority
from tests.support.clock import ManualClock
from tests.support.credentials import until
from tests.support.kubernetes import ISSUER, ApiServer, Signer, running_api_server
from tests.support.serving import running_server

GATEWAY = "llm/gateway"
AUDIENCE = "zr-credentials"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with running_api_server(tmp_path, GATEWAY) as server:
        yield server


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as found:
        yield found


async def test_keys_and_issuer_come_from_the_api_server(cluster: ApiServer, tasks: Tasks) -> None:
    accounts = accounts_of(cluster.settings, AUDIENCE, tasks)

    assert accounts is not None
    assert await accounts.check(cluster.token(GATEWAY, AUDIENCE)) == GATEWAY
    assert accounts_of(ServiceAccountSettings(), AUDIENCE, tasks) is None


async def test_when_they_were_read_is_to_be_seen(cluster: ApiServer, tasks: Tasks) -> None:
    registry, clock = CollectorRegistry(), ManualClock()
    assert accounts_of(cluster.settings, AUDIENCE, tasks, registry) is not None
    assert (registry.get_sample_value("zcode_issuer_keys_read_timestamp_seconds") or 0) > time.time() - 60
    keys = IssuerKeys(source_of(cluster.settings), tasks, clock=clock)
    begun = keys.read_at
    clock.advance(1000)
    cluster.down = True
    with pytest.raises(KeysAway):
        await keys.find("unknown")
    assert keys.read_at == begun
    cluster.down = False
    clock.advance(1000)
    await keys.find("unknown")

    assert keys.read_at == clock.now()


async def test_a_known_key_costs_no_call(cluster: ApiServer, tasks: Tasks) -> None:
    accounts = accounts_of(cluster.settings, AUDIENCE, tasks)
    assert accounts is not None
    for _ in range(200):
        await accounts.check(cluster.token(GATEWAY, AUDIENCE))

    assert cluster.asked == 1


async def test_a_new_key_is_fetched_when_it_is_first_seen_and_an_unknown_one_now_and_then(
    cluster: ApiServer, tasks: Tasks
) -> None:
    clock = ManualClock()
    keys = IssuerKeys(source_of(cluster.settings), tasks, clock=clock)
    first, second = cluster.signers[0].kid, Signer()
    assert await keys.find(first)
    cluster.signers.append(second)

    assert [await keys.find(second.kid), cluster.asked] == [None, 1]  # too soon
    clock.advance(AT_MOST)
    found = await asyncio.gather(*(keys.find(second.kid) for _ in range(50)))
    assert (all(found), cluster.asked) == (True, 2)
    for at in range(100):
        assert await keys.find(f"forged-{at}") is None
    assert cluster.asked == 2
    clock.advance(AT_MOST)
    assert await asyncio.gather(*(keys.find(f"forged-{at}") for at in range(50))) == [None] * 50
    assert cluster.asked == 3


async def test_a_key_that_is_no_longer_published_is_forgotten(cluster: ApiServer, tasks: Tasks) -> None:
    clock = ManualClock()
    keys = IssuerKeys(source_of(cluster.settings), tasks, clock=clock)
    old = cluster.signers[0].kid
    assert await keys.find(old)
    cluster.signers[:] = [Signer()]
    clock.advance(AT_MOST)
    assert await keys.find(cluster.signers[0].kid)

    assert await keys.find(old) is None


async def test_while_the_api_server_is_away_the_last_good_keys_are_kept(
    cluster: ApiServer, tasks: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    keys = IssuerKeys(source_of(cluster.settings), tasks, clock=clock)
    known = cluster.signers[0].kid
    assert await keys.find(known)
    cluster.down = True
    for _ in range(3):
        clock.advance(EVERY)
        with pytest.raises(KeysAway):  # it may be a new one
            await keys.find("unknown")
        assert await keys.find(known)
    cluster.down = False
    clock.advance(AT_MOST)
    assert await keys.find("unknown") is None

    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("keys of")]
    assert len(said) == 2
    assert "status 503" in said[0]


async def test_what_follows_them_fetches_at_once_and_again(
    cluster: ApiServer, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.peer.issuer_keys.EVERY", 0.05)
    monkeypatch.setattr("services.chassis.peer.issuer_keys.AT_MOST", 0.05)
    keys = IssuerKeys(source_of(cluster.settings), tasks)
    _ = tasks.start(keys.follow(), name="follow")
    await until(lambda: cluster.asked >= 3)
    cluster.down = True
    await asyncio.sleep(0.2)
    cluster.down = False
    cluster.signers[:] = [Signer()]
    before = cluster.asked
    await until(lambda: cluster.asked > before + 1)

    assert await keys.find(cluster.signers[0].kid)


async def test_who_goes_away_does_not_end_what_others_wait_for(cluster: ApiServer, tasks: Tasks) -> None:
    keys = IssuerKeys(source_of(cluster.settings), tasks)
    kid = cluster.signers[0].kid
    waiting = [asyncio.ensure_future(keys.find(kid)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    assert all(await asyncio.gather(*waiting[1:]))
    assert cluster.asked == 1


async def test_the_pods_own_token_is_read_anew(cluster: ApiServer, tmp_path: Path) -> None:
    fetch = source_of(cluster.settings)
    await fetch()
    cluster.own_token = "renewed-" + "x" * 32
    with pytest.raises(SourceAway, match="status 401"):
        await fetch()
    (tmp_path / "kubernetes" / "token").write_text(cluster.own_token + "\n")

    assert (await fetch()).name == ISSUER


async def test_an_api_server_that_nobody_vouches_for_is_not_believed_and_not_told_our_token(
    cluster: ApiServer, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    another = Authority(tmp_path / "other", "other").file
    with pytest.raises(SourceAway, match="does not answer"):
        await source_of(msgspec.structs.replace(cluster.settings, ca_file=str(another)))()

    assert cluster.asked == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"token_file": "/nowhere"}, "own token /nowhere cannot be read"),
        ({"api_server": "https://127.0.0.1:1"}, "does not answer"),
        ({"ca_file": "/nowhere"}, "does not answer"),
    ],
)
async def test_why_keys_cannot_be_had_is_said(cluster: ApiServer, change: dict[str, str], why: str) -> None:
    with pytest.raises(SourceAway, match=why):
        await source_of(msgspec.structs.replace(cluster.settings, **change))()


async def test_a_configured_issuer_is_not_asked_for(cluster: ApiServer) -> None:
    found = await source_of(msgspec.structs.replace(cluster.settings, issuer="https://ours.example"))()

    assert found.name == "https://ours.example"


async def test_an_api_server_without_a_name_for_its_issuer_is_told(cluster: ApiServer) -> None:
    cluster.issuer = ""
    with pytest.raises(SourceAway, match="does not say who issues"):
        await source_of(cluster.settings)()


async def test_keys_may_come_from_a_file_that_changes(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    fetch = source_of(ServiceAccountSettings(allow=(GATEWAY,), jwks=str(file), issuer=ISSUER))
    with pytest.raises(SourceAway, match="cannot be read"):
        await fetch()
    for signer in (Signer(), Signer()):
        file.write_text(json.dumps({"keys": [signer.jwk]}))
        assert set((await fetch()).keys) == {signer.kid}
    file.write_text("[]")
    with pytest.raises(SourceAway, match="cannot be read"):
        await fetch()
    file.write_text("{}")
    with pytest.raises(SourceAway, match="no key"):
        await fetch()


async def test_keys_may_come_from_an_address_which_gets_no_token_of_ours(tmp_path: Path) -> None:
    """Managed clusters publish them for everybody."""
    signer, seen, body = Signer(), [], [b""]
    body[0] = json.dumps({"keys": [signer.jwk]}).encode()

    async def app(scope, receive, send):
        seen.append(dict(scope["headers"]))
        redirect = [(b"location", b"/elsewhere")] if scope["path"] == "/moved" else []
        await send({"type": "http.response.start", "status": 302 if redirect else 200, "headers": redirect})
        await send({"type": "http.response.body", "body": body[0]})

    authority = Authority(tmp_path)
    authority.write(tmp_path / "c", tmp_path / "k")
    tls = ServerTls(CertificateFiles("x", tmp_path / "c", tmp_path / "k"))
    async with running_server(app, tls=tls, lifespan="off") as server:
        settings = ServiceAccountSettings(
            allow=(GATEWAY,), jwks=f"{server.url}/jwks", issuer=ISSUER, ca_file=str(authority.file)
        )
        found = await source_of(settings)()
        with pytest.raises(SourceAway, match="status 302"):
            await source_of(msgspec.structs.replace(settings, jwks=f"{server.url}/moved"))()
        body[0] = b" " * (1024 * 1024 + 1)
        with pytest.raises(SourceAway, match="more than"):
            await source_of(settings)()
        body[0] = b"<html>"
        with pytest.raises(SourceAway, match="JSON"):
            await source_of(settings)()

    assert (found.name, set(found.keys)) == (ISSUER, {signer.kid})
    assert [headers for headers in seen if b"authorization" in headers] == []
