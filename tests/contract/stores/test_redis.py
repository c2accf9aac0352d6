"""What only Redis does: three steps of a write, scripts that are forgotten, replicas that are missing, wrong servers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.chassis.redis.address import parse
from services.credentials.stores import redis_scripts as scripts
from services.credentials.stores.factory import open_store
from services.credentials.stores.port import StoreRefused, StoreUnavailable, Versioned
from services.credentials.stores.redis import TICKET, RedisStore
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.redis_server import Cluster, Sentinels, Server

NOWHERE = Path()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("own")) as server:
        yield server


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as admin:
        admin.flushall()
        yield admin
        admin.config_set("min-replicas-to-write", "0")


@pytest.fixture
async def store(server: Server, admin: Any) -> AsyncIterator[RedisStore]:
    async with contextlib.aclosing(RedisStore(parse(f"{server.url}?deadline=500"))) as store:
        yield store


# -- three steps


async def test_a_writer_that_died_after_its_write_is_heard_of_all_the_same(store: RedisStore) -> None:
    before = await store.generation()
    _, not_after = await store._begin("cred", "crd_a", "ticket")
    assert await store._commit("zr:{a:crd_a}:cred", scripts.PUT, (0, b"v", 1, not_after))
    assert await store.generation() == before

    started = time.monotonic()
    assert await store.changed(before, wait=TICKET / 1000 + 2) > before
    assert time.monotonic() - started < TICKET / 1000 + 1.5
    assert await store.scan("cred") == {"crd_a": Versioned(1, b"v", 1)}


async def test_a_writer_that_comes_too_late_writes_nothing(store: RedisStore) -> None:
    """Its ticket may have been given up already, and then nobody would hear of the write."""
    _, not_after = await store._begin("cred", "crd_a", "ticket")
    await asyncio.sleep(TICKET / 2000 + 0.1)
    with pytest.raises(StoreUnavailable, match="too late"):
        await store._commit("zr:{a:crd_a}:cred", scripts.PUT, (0, b"v", 1, not_after))
    with pytest.raises(StoreUnavailable, match="too late"):
        await store._commit("zr:{a:crd_a}:cred", scripts.REMOVE, (0, not_after))

    assert await store.get("cred", "crd_a") is None


async def test_a_writer_that_died_before_its_write_leaves_nothing_to_see(store: RedisStore) -> None:
    await store._begin("cred", "crd_never", "ticket")

    assert await store.scan("cred") == {}


async def test_a_removal_does_not_hide_what_is_written_meanwhile(store: RedisStore) -> None:
    await store.put("cred", "crd_a", b"old", kid=1, expected=0)
    count, not_after = await store._begin("cred", "crd_a", "ticket")
    assert await store._commit("zr:{a:crd_a}:cred", scripts.REMOVE, (1, not_after))
    assert await store.put("cred", "crd_a", b"new", kid=1, expected=0)
    await store._end("cred", "crd_a", "ticket", written=True, count=count)

    assert await store.scan("cred") == {"crd_a": Versioned(1, b"new", 1)}


async def test_a_removal_leaves_nothing_behind_but_the_generation(store: RedisStore, admin: Any) -> None:
    await store.put("cred", "crd_a", b"old", kid=1, expected=0)
    await store.remove("cred", "crd_a", expected=1)

    assert set(admin.scan_iter("*")) == {"zr:{g}:gen"}


async def test_numbers_go_on_after_everything_is_lost(store: RedisStore, admin: Any) -> None:
    """A restored or wiped Redis must not hand out a generation or a fence that somebody has seen already."""
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    generation = await store.generation()
    first: Any = await store.acquire("cred", "crd_a", "me", ttl=1, seen=1)
    admin.flushall()
    await asyncio.sleep(0.01)
    second: Any = await store.acquire("cred", "crd_a", "me", ttl=1, seen=1)

    assert await store.generation() > generation
    assert second.fence > first.fence


async def test_a_name_is_what_promises_c2_says(store: RedisStore, admin: Any) -> None:
    for kind in ("cred", "key", "meta"):
        await store.put(kind, "x", b"1", kid=7, expected=0)
        await store.acquire(kind, "x", "me", ttl=30, seen=1)
    await store.put_once("login", "x", b"1", ttl=600)
    await store.put_once("nonce", "x", b"1", ttl=90)

    assert set(admin.scan_iter("*")) == {
        "zr:{a:x}:cred", "zr:{a:x}:lease", "zr:{a:x}:fence",
        "zr:ck:x", "zr:lease:{zr:ck:x}", "zr:fence:{zr:ck:x}",
        "zr:meta:x", "zr:lease:{zr:meta:x}", "zr:fence:{zr:meta:x}",
        "zr:o:x", "zr:n:x", "zr:{g}:gen", "zr:{g}:ids:cred", "zr:{g}:ids:key", "zr:{g}:ids:meta",
    }  # fmt: skip
    assert admin.hgetall("zr:{a:x}:cred") == {"ver": "1", "kid": "7", "blob": "1"}
    assert 599_000 < admin.pttl("zr:o:x") <= 600_000


# -- servers


async def test_scripts_that_the_server_forgot_are_told_again(store: RedisStore, admin: Any) -> None:
    for number in range(3):
        admin.script_flush()
        assert await store.put("cred", "crd_a", b"v", kid=1, expected=number)


async def test_a_restart_costs_at_most_a_call(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        async with contextlib.aclosing(await open_store(f"{server.url}?deadline=1000", NOWHERE)) as store:
            await store.put("cred", "crd_a", b"v", kid=1, expected=0)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await store.get("cred", "crd_a")
            await asyncio.to_thread(server.start)

            assert await store.get("cred", "crd_a") == Versioned(1, b"v", 1)
            assert await store.put("cred", "crd_a", b"w", kid=1, expected=1)


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-random"])
async def test_a_server_that_would_drop_credentials_is_refused(tmp_path: Path, policy: str) -> None:
    refused = pytest.raises(StoreRefused, match=f"{policy}.*noeviction")
    with Server(tmp_path, f"maxmemory-policy {policy}") as server, refused:
        await open_store(f"{server.url}?deadline=4000", NOWHERE)


async def test_one_such_server_in_a_cluster_is_enough(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        with cluster.servers[1].client() as admin:
            admin.config_set("maxmemory-policy", "allkeys-lru")
        with pytest.raises(StoreRefused, match="allkeys-lru"):
            await open_store(f"{cluster.url}?deadline=4000", NOWHERE)


async def test_a_full_server_refuses_and_loses_nothing(store: RedisStore, admin: Any) -> None:
    await store.put("cred", "crd_a", b"v", kid=1, expected=0)
    admin.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(StoreUnavailable):
            await store.put("cred", "crd_b", b"v" * 100_000, kid=1, expected=0)
    finally:
        admin.config_set("maxmemory", "0")

    assert await store.get("cred", "crd_a") == Versioned(1, b"v", 1)
    assert await store.put("cred", "crd_b", b"v" * 100_000, kid=1, expected=0)


async def test_a_value_of_another_type_is_no_crash(store: RedisStore, admin: Any) -> None:
    admin.set("zr:ck:strange", "text")
    with pytest.raises(StoreUnavailable, match="ResponseError"):
        await store.get("key", "strange")


# -- replicas


async def test_a_write_that_no_replica_has_does_not_count(server: Server, admin: Any) -> None:
    """It may be there later, or not: the caller keeps what it wanted to write."""
    async with contextlib.aclosing(await open_store(f"{server.url}?wait=1&deadline=1000", NOWHERE)) as store:
        with pytest.raises(StoreUnavailable, match="0 of 1 replicas"):
            await store.put("cred", "crd_a", b"v", kid=1, expected=0)

        assert await store.get("cred", "crd_a") == Versioned(1, b"v", 1, safe=False)


async def test_what_no_replica_has_is_not_vouched_for(server: Server, admin: Any) -> None:
    """A master that was given up answers like that, and what it has is lost when it hears of it."""
    async with contextlib.aclosing(await open_store(f"{server.url}?wait=1&deadline=1000", NOWHERE)) as store:
        with pytest.raises(StoreUnavailable):
            await store.put("cred", "crd_a", b"v", kid=1, expected=0)
        with pytest.raises(StoreUnavailable):
            await store.get("cred", "crd_a", durable=True)
        with pytest.raises(StoreUnavailable):
            await store.put_once("intent", "crd_a.e", b"1", ttl=60, durable=True)
        with pytest.raises(StoreUnavailable):  # nor is it a no: it may be gone again
            await store.put_once("intent", "crd_a.e", b"1", ttl=60, durable=True)


async def test_what_a_replica_has_is(tmp_path: Path) -> None:
    with Server(tmp_path / "master") as master, Server(tmp_path / "replica", f"replicaof 127.0.0.1 {master.port}"):
        with contextlib.closing(master.client()) as client:
            client.set("any", "value")
            assert client.execute_command("WAIT", 1, 10_000) == 1
        async with contextlib.aclosing(await open_store(f"{master.url}?wait=1&deadline=2000", NOWHERE)) as store:
            assert await store.put("cred", "crd_a", b"v", kid=1, expected=0)
            assert await store.get("cred", "crd_a", durable=True) == Versioned(1, b"v", 1)
            assert await store.get("cred", "crd_b", durable=True) is None
            assert await store.put_once("intent", "crd_a.e", b"1", ttl=60, durable=True) is True
            assert await store.put_once("intent", "crd_a.e", b"1", ttl=60, durable=True) is False


async def test_a_write_that_too_few_replicas_would_get_waits_for_them(store: RedisStore, admin: Any) -> None:
    """NOREPLICAS says that nothing happened, so it is tried again until the deadline, and no longer."""
    admin.config_set("min-replicas-to-write", "1")
    with pytest.raises(StoreUnavailable):
        await store.put("cred", "crd_a", b"v", kid=1, expected=0)
    assert await store.get("cred", "crd_a") is None

    writing = asyncio.ensure_future(store.put("cred", "crd_a", b"v", kid=1, expected=0))
    await asyncio.sleep(0.15)
    admin.config_set("min-replicas-to-write", "0")
    assert await writing


async def test_a_demoted_master_is_written_to_when_it_is_promoted(store: RedisStore, admin: Any) -> None:
    await store.put("cred", "crd_a", b"v", kid=1, expected=0)
    admin.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StoreUnavailable):
            await store.put("cred", "crd_a", b"w", kid=1, expected=1)
        assert await store.get("cred", "crd_a") == Versioned(1, b"v", 1)
        writing = asyncio.ensure_future(store.put("cred", "crd_a", b"w", kid=1, expected=1))
        await asyncio.sleep(0.15)
    finally:
        admin.replicaof("NO", "ONE")
    assert await writing


async def test_one_hung_sentinel_holds_nobody_up(tmp_path: Path) -> None:
    """redis-py asks sentinels one after the other: a hung first one would cost every call its deadline."""
    with Sentinels(tmp_path) as sentinels:
        first, *others = sentinels.sentinels
        async with FaultProxy(first.port) as proxy:
            hosts = ",".join(f"127.0.0.1:{port}" for port in (proxy.port, *(other.port for other in others)))
            await proxy.set(Fault.HANG)
            url = f"redis+sentinel://{hosts}/zcode"
            async with contextlib.aclosing(await open_store(url, NOWHERE)) as store:
                for number in range(5):
                    assert await store.put("cred", "crd_a", b"v", kid=1, expected=number)
                await store._link._forget()  # type: ignore[attr-defined]
                assert await store.put("cred", "crd_a", b"v", kid=1, expected=5)


async def test_sentinels_that_know_no_such_master_say_so(tmp_path: Path) -> None:
    with Sentinels(tmp_path) as sentinels:
        url = sentinels.url.replace("/zcode", "/other")
        with pytest.raises(StoreUnavailable):
            await open_store(url, NOWHERE)
