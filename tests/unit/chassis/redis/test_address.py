"""`store.url`, taken apart."""

import pytest

from services.chassis.redis.address import DEADLINE, Login, RedisAddress, Shape, Tls, parse
from services.chassis.secret import Secret

NOBODY = Login()


def test_one_server_by_its_name_alone() -> None:
    assert parse("redis://cache") == RedisAddress(shape=Shape.STANDALONE, hosts=(("cache", 6379),), login=NOBODY)
    assert parse("redis://cache").deadline == DEADLINE


@pytest.mark.parametrize(
    ("url", "hosts", "db"),
    [
        ("redis://cache:7000/3", (("cache", 7000),), 3),
        ("redis://cache:7000/", (("cache", 7000),), 0),
        ("redis://[::1]:7000", (("::1", 7000),), 0),
        ("redis://[fd00::2]", (("fd00::2", 6379),), 0),
        ("redis://10.0.0.1?db=2", (("10.0.0.1", 6379),), 2),
    ],
)
def test_ports_and_databases(url: str, hosts: tuple[tuple[str, int], ...], db: int) -> None:
    found = parse(url)

    assert (found.shape, found.hosts, found.db) == (Shape.STANDALONE, hosts, db)


def test_sentinels_and_their_master() -> None:
    found = parse("redis+sentinel://s1,s2:26380,[::1]:26381/mymaster?db=4&wait=1")

    assert found == RedisAddress(
        shape=Shape.SENTINEL,
        hosts=(("s1", 26379), ("s2", 26380), ("::1", 26381)),
        login=NOBODY,
        master="mymaster",
        db=4,
        wait=1,
    )


def test_a_cluster() -> None:
    found = parse("redis+cluster://n1:7001,n2,n3/?prefix=x:")

    assert (found.shape, found.hosts, found.prefix) == (
        Shape.CLUSTER,
        (("n1", 7001), ("n2", 6379), ("n3", 6379)),
        "x:",
    )


@pytest.mark.parametrize("url", ["rediss://h", "redis://h?tls=true", "rediss://h?tls=true"])
def test_tls_by_scheme_or_option(url: str) -> None:
    assert parse(url).tls == Tls()


@pytest.mark.parametrize(
    ("url", "shape"),
    [
        ("rediss+sentinel://h/m", Shape.SENTINEL),
        ("rediss+cluster://h", Shape.CLUSTER),
        ("redis+sentinel://h/m?tls=true", Shape.SENTINEL),
    ],
)
def test_tls_for_every_shape(url: str, shape: Shape) -> None:
    assert (parse(url).shape, parse(url).tls) == (shape, Tls())


def test_tls_files() -> None:
    found = parse("rediss://h?ca=/tls/ca.crt&cert=/tls/tls.crt&key=/tls/tls.key")

    assert found.tls == Tls(ca="/tls/ca.crt", cert="/tls/tls.crt", key="/tls/tls.key")


def test_no_tls_when_nobody_asks() -> None:
    assert parse("redis://h").tls is None
    assert parse("redis://h?tls=false").tls is None


def test_who_the_url_says_wins_over_who_is_given() -> None:
    given = Login(username="given", password=Secret("secret"), sentinel_password=Secret("watch"))

    assert parse("redis://h", given).login == given
    assert parse("redis://:p%40ss%3A@h", given).login == Login(
        username="given", password=Secret("p@ss:"), sentinel_password=Secret("watch")
    )
    assert parse("redis://zr-cred@h", given).login.username == "zr-cred"
    assert parse("redis://zr-cred@h", given).login.password == Secret("secret")
    assert parse("redis://a%2Fb:p@h1").login == Login(username="a/b", password=Secret("p"))


def test_a_deadline_in_milliseconds() -> None:
    assert parse("redis://h?deadline=1500").deadline == 1.5


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://h", "none of redis://"),
        ("rediss+memory://h", "none of redis://"),
        ("redis://", "names no host"),
        ("redis://:secret@", "names no host"),
        ("redis://h:0x1", "host or a port"),
        ("redis://h:99999", "host or a port"),
        ("redis://h1,h2", "several hosts"),
        ("redis+sentinel://h", "name of the master"),
        ("redis+cluster://h/1", "has a path"),
        ("redis+cluster://h?db=1", "names a database"),
        ("redis://h/x", "database"),
        ("redis://h?db=-1", "database"),
        ("redis://h?wait=many", "wait"),
        ("redis://h?wait=17", "wait"),
        ("redis://h?deadline=99", "deadline below"),
        ("redis://h?deadline=10001", "deadline"),
        ("redis://h?deadline=", "deadline"),
        ("redis://h?tls=yes", "tls"),
        ("redis://h?ca=/x", "asks for TLS and for none"),
        ("rediss://h?tls=false", "asks for TLS and for none"),
        ("redis://h?nonsense=1", "none of"),
        ("redis://h?wait=1&wait=2", "twice"),
    ],
)
def test_what_is_wrong_is_said_without_the_url(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        parse(url.replace("://", "://user:canary-password@", 1) if "@" not in url and url.count("//h") else url)
    assert "canary" not in str(refused.value)
    assert "secret@" not in str(refused.value)
