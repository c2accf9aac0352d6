"""Every service has a Redis user that may do what the service does and nothing else (deploy/redis/users.acl)."""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from services.chassis.redis.address import Login
from services.chassis.secret import Secret
from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Busy, Granted, Store, StoreRefused, StoreUnavailable, Versioned
from tests.support.redis_server import Cluster, Server

USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
NOWHERE = Path()

# What is tried, and which users may: c credentials, g gateway, p captcha.
MATRIX = """
GET zr:{a:crd_a}:cred           c
HGET zr:{a:crd_a}:cred blob     c
HMGET zr:{a:crd_a}:cred ver     c
HSET zr:{a:crd_a}:cred ver 1    c
HGETALL zr:{a:crd_a}:cred       -
DEL zr:{a:crd_a}:cred           c
DUMP zr:{a:crd_a}:cred          -
COPY zr:{a:crd_a}:cred zr:ck:x  -
RENAME zr:{a:crd_a}:cred zr:ck:x -
RESTORE zr:{a:crd_a}:cred 0 x   -
GET zr:{a:crd_a}:lease          c
SET zr:{a:crd_a}:lease me       c
GET zr:{a:crd_a}:fence          c
SET zr:{a:crd_a}:cool 1         c
SET zr:{a:crd_a}:mark 1 PX 1000 c
SET zr:{a:crd_a}:intent:e 1 NX PX 1000  c
GETDEL zr:{a:crd_a}:intent:e    c
GET zr:{a:crd_a}:cool           c
GET zr:ck:abc                   c
HMGET zr:ck:abc ver blob kid    c
HSET zr:ck:abc ver 9            c
DEL zr:ck:abc                   c
GETDEL zr:o:state               c
SET zr:o:state x                c
GET zr:n:nonce                  c
SET zr:n:nonce x                c
HMGET zr:meta:check blob        c
HSET zr:meta:pepper blob x      c
GET zr:{g}:gen                  c
HKEYS zr:{g}:ids:cred           c
GET zr:lease:{zr:meta:check}    c
INCR zr:rl:{abc}:60             -
HSET zr:u:500000 field value     g
HGETALL zr:u:500000             g
EXPIRE zr:u:500000 60           g
DEL zr:u:500000                 -
HDEL zr:u:500000 field          -
SET zr:u:c:quota me NX PX 1000  g
GET zr:u:n:quota                g
HGET zr:{c:crd_a}:blob x        p
ZADD zr:{c:crd_a}:pool 1 x      p
XADD zr:audit * a b             c
XREAD STREAMS zr:audit 0        -
GET other                       -
SET other x                     -
EVAL return 0                   cp
EVALSHA 0123456789012345678901234567890123456789 0  cp
SCRIPT LOAD x                   -
SCRIPT FLUSH                    -
FUNCTION LIST                   -
FCALL f 0                       -
KEYS *                          -
SCAN 0                          -
RANDOMKEY                       -
CONFIG GET *                    -
CONFIG SET dir /                -
DEBUG SLEEP 1                   -
MODULE LIST                     -
MONITOR                         -
SHUTDOWN                        -
FLUSHALL                        -
FLUSHDB                         -
SAVE                            -
BGREWRITEAOF                    -
REPLICAOF NO ONE                -
SLAVEOF evil 1                  -
PSYNC ? -1                      -
MIGRATE h 1 k 0 1               -
ACL LIST                        -
ACL SETUSER x                   -
ACL WHOAMI                      -
CLIENT LIST                     -
CLIENT KILL 1:1                 -
CLIENT SETNAME x                cgp
SLOWLOG GET                     -
LATENCY DOCTOR                  -
SWAPDB 0 1                      -
SELECT 1                        -
PUBLISH zr:ev 1                 c
SUBSCRIBE zr:ev                 c
SUBSCRIBE other                 -
PSUBSCRIBE *                    -
INFO                            cgp
PING                            cgp
TIME                            cgp
WAIT 1 1                        c
"""
ROWS = [re.split(r"\s+(?=[cgp-]+$)", line) for line in MATRIX.strip().splitlines()]


def configuration(directory: Path) -> str:
    """Write the ACL file with passwords, and an administrator for the test."""
    text = re.sub(r">PASSWORD-OF-(\S+)", lambda found: f">{password(found[1].lower())}", USERS.read_text())
    file = directory / "users.acl"
    file.write_text(text + "user admin on >admin ~* &* +@all\n")
    return f"aclfile {file}"


def password(user: str) -> str:
    return hashlib.sha256(user.encode()).hexdigest()[:24]


def login(user: str = "zr-cred") -> Login:
    return Login(username=user, password=Secret(password(user)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("users")
    with Server(directory, configuration(directory)) as server:
        yield server


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Store]:
    store = await open_store(f"{server.url}?deadline=4000", NOWHERE, login=login())
    yield store
    await store.aclose()


@pytest.mark.promise("P-29")
@pytest.mark.parametrize(("command", "allowed"), ROWS)
def test_a_user_may_do_what_its_service_does_and_nothing_else(server: Server, command: str, allowed: str) -> None:
    users = {"c": "zr-cred", "g": "zr-gw", "p": "zr-cap"}
    may = ""
    with server.client(username="admin", password="admin") as admin:
        for letter, user in users.items():
            said = admin.execute_command("ACL", "DRYRUN", user, *command.split())
            may += letter if said in ("OK", True) else ""

    assert (may or "-") == allowed


@pytest.mark.promise("P-29")
@pytest.mark.parametrize("user", ["zr-gw", "zr-cap"])
async def test_other_services_do_not_get_at_a_credential(server: Server, store: Store, user: str) -> None:
    """In earnest, not by DRYRUN; and not by way of a script either."""
    await store.put("cred", f"crd_{user}", b"sealed", kid=1, expected=0)
    key = f"zr:{{a:crd_{user}}}:cred"
    for words in (
        ("HMGET", key, "blob"),
        ("HGETALL", key),
        ("GET", key),
        ("DUMP", key),
        ("EVAL", "return redis.call('HGET', KEYS[1], 'blob')", "1", key),
        ("EVAL", f"return redis.call('HGET', '{key}', 'blob')", "0"),
        ("SORT", "zr:ck:x", "BY", "nosort", "GET", f"{key}->blob"),
        ("OBJECT", "ENCODING", key),
        ("DEBUG", "OBJECT", key),
        ("MONITOR",),
    ):
        with (
            server.client(username=user, password=password(user)) as client,
            pytest.raises(redis.exceptions.ResponseError, match=r"perm|can't access|not allowed"),
        ):
            client.execute_command(*words)


async def test_the_credentials_service_can_do_all_it_does(store: Store) -> None:
    assert await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    assert await store.put("key", "abc", b"1", kid=0, expected=0)
    assert await store.put("meta", "check", b"1", kid=0, expected=0)
    assert await store.get("cred", "crd_a") == Versioned(1, b"1", 1)
    assert await store.scan("key") == {"abc": Versioned(1, b"1", 0)}
    for kind, id_ in (("cred", "crd_a"), ("meta", "check")):
        assert isinstance(await store.acquire(kind, id_, "me", ttl=30, seen=1), Granted)
        assert isinstance(await store.acquire(kind, id_, "you", ttl=30, seen=1), Busy)
        assert await store.renew(kind, id_, "me", ttl=30)
        await store.release(kind, id_, "me")
    assert await store.put_once("intent", "crd_a.0123456789abcdef", b"1", ttl=30, durable=True)
    assert await store.take("intent", "crd_a.0123456789abcdef") == b"1"
    for kind in ("login", "nonce"):
        assert await store.put_once(kind, "x", b"once", ttl=30)
        assert await store.take(kind, "x") == b"once"
    before = await store.generation()
    assert await store.remove("cred", "crd_a", expected=1)
    assert await store.changed(before, wait=1) > before
    assert await store.now() > 0


async def test_the_credentials_service_can_do_it_in_a_cluster(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        for server in cluster.servers:
            with server.client() as client:
                for line in (USERS.read_text()).splitlines():
                    name, *rules = line.replace(">PASSWORD-OF-ZR-CRED", f">{password('zr-cred')}").split()[1:]
                    client.execute_command("ACL", "SETUSER", name, *rules)
        store = await open_store(f"{cluster.url}?deadline=4000", NOWHERE, login=login())
        await test_the_credentials_service_can_do_all_it_does(store)
        await store.aclose()


@pytest.mark.parametrize(
    ("who", "says"),
    [
        (Login(username="zr-cred", password=Secret("wrong-password")), "AuthenticationError"),
        (Login(username="nobody", password=Secret("x")), "AuthenticationError"),
        (None, "Authentication|NoPermission"),
        (login("zr-sentinel"), ""),
    ],
)
async def test_a_user_that_redis_refuses_is_said_at_the_start(server: Server, who: Login | None, says: str) -> None:
    url = server.url
    if who is not None and says == "":
        store = await open_store(url, NOWHERE, login=who)  # INFO is all it may do
        with pytest.raises(StoreUnavailable, match="refuses this user"):
            await store.get("cred", "crd_a")
        await store.aclose()
        return
    with pytest.raises(StoreRefused, match=says) as refused:
        await open_store(url, NOWHERE, login=who)

    assert "wrong-password" not in str(refused.value)


async def test_who_may_not_subscribe_still_hears_of_changes(server: Server, store: Store) -> None:
    """By looking: the message is only a hint."""
    admin: Any
    with server.client(username="admin", password="admin") as admin:
        admin.execute_command("ACL", "SETUSER", "deaf", "on", ">deaf", "~*", "resetchannels", "+@all", "-subscribe")
    deaf = await open_store(
        f"{server.url}?deadline=4000", NOWHERE, login=Login(username="deaf", password=Secret("deaf"))
    )
    before = await deaf.generation()
    await store.put("cred", "crd_deaf", b"1", kid=1, expected=0)

    assert await deaf.changed(before, wait=1) > before
    await deaf.aclose()
