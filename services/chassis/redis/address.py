"""
Where a Redis is and who we are there: `store.url`, taken apart. Pure.

    redis://[user[:password]@]host[:6379][/db]              one server; rediss:// for TLS
    redis+sentinel://[…@]host[:26379],host…/master[?db=0]   a master that sentinels name
    redis+cluster://[…@]host[:6379],host…                   a cluster, by some of its nodes

    ?tls=true        TLS (what rediss, rediss+sentinel and rediss+cluster say as well), to the sentinels too
    ?ca= cert= key=  PEM files: who is trusted instead of the system's store, and who we are
    ?prefix=zr:      what every key begins with
    ?wait=1          replicas that must have a credential's write before it counts as written
    ?deadline=400    milliseconds that one call may take; more only where the network is slow
"""

from enum import Enum
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import msgspec

from services.chassis.secret import Secret

DEFAULT_PREFIX: Final = "zr:"  # of every key

_REDIS_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_MOST_REPLICAS: Final = 16
_SHORTEST_DEADLINE: Final = 100
_LONGEST_DEADLINE: Final = 10_000  # milliseconds

DEADLINE: Final = 0.4  # seconds; what comes after it stays below the 500 ms of promises.md P-61 on a busy machine


class Shape(Enum):
    """How many servers there are, and who says which one is written to."""

    STANDALONE = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """PEM files; without `ca` the system's store is trusted."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are, at the servers and at the sentinels; what the URL says wins."""

    username: str | None = None
    password: Secret | None = None
    sentinel_username: str | None = None
    sentinel_password: Secret | None = None


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A `store.url` for Redis."""

    shape: Shape
    hosts: tuple[tuple[str, int], ...]
    login: Login
    master: str = ""  # Sentinel: name of the master
    db: int = 0
    tls: Tls | None = None
    prefix: str = DEFAULT_PREFIX
    wait: int = 0  # replicas
    deadline: float = DEADLINE  # seconds


def parse(url: str, login: Login | None = None) -> RedisAddress:
    """Read a URL; raises ValueError with a message that never repeats the URL, which may hold a password."""
    parts = urlsplit(url)
    secure = parts.scheme.startswith("rediss")
    try:
        shape = Shape(parts.scheme.replace("rediss", "redis", 1))
    except ValueError:
        raise ValueError("is none of redis://, rediss://, redis+sentinel://, redis+cluster://") from None
    options = _options(parts.query)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    return RedisAddress(
        shape=shape,
        hosts=_hosts(hosts, _SENTINEL_PORT if shape is Shape.SENTINEL else _REDIS_PORT, shape),
        login=_login(userinfo, login or Login()),
        master=_master(parts, shape),
        db=_database(parts, shape, options),
        tls=_tls(options, secure=secure),
        prefix=options.get("prefix", DEFAULT_PREFIX),
        wait=_number(options.get("wait", "0"), "wait", _MOST_REPLICAS),
        deadline=_deadline(options),
    )


def _options(query: str) -> dict[str, str]:
    known = {"tls", "ca", "cert", "key", "prefix", "wait", "db", "deadline"}
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known or name in found:
            raise ValueError(f"has an option twice or one that is none of {', '.join(sorted(known))}")
        found[name] = value
    return found


def _hosts(netloc: str, port: int, shape: Shape) -> tuple[tuple[str, int], ...]:
    hosts = tuple(_host(entry, port) for entry in netloc.split(","))
    if shape is Shape.STANDALONE and len(hosts) > 1:
        raise ValueError("names several hosts; that is redis+sentinel:// or redis+cluster://")
    return hosts


def _host(entry: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{entry}")
        found = parts.hostname, parts.port or port
    except ValueError:
        raise ValueError("has a host or a port that is none") from None
    host, number = found
    if not host:
        raise ValueError("names no host")
    return host, number


def _login(userinfo: str, given: Login) -> Login:
    if not userinfo:
        return given
    user, _, password = userinfo.partition(":")
    return msgspec.structs.replace(
        given,
        username=unquote(user) or given.username,
        password=Secret(unquote(password)) if password else given.password,
    )


def _master(parts: SplitResult, shape: Shape) -> str:
    name = unquote(parts.path.strip("/"))
    if shape is Shape.SENTINEL and not name:
        raise ValueError("needs the name of the master as its path, as in redis+sentinel://host/mymaster")
    if shape is Shape.CLUSTER and name:
        raise ValueError("has a path; a cluster has one database only")
    return name if shape is Shape.SENTINEL else ""


def _database(parts: SplitResult, shape: Shape, options: dict[str, str]) -> int:
    path = parts.path.strip("/") if shape is Shape.STANDALONE else ""
    db = _number(options.get("db", path or "0"), "database", 1_000_000)
    if db and shape is Shape.CLUSTER:
        raise ValueError("names a database; a cluster has one only")
    return db


def _deadline(options: dict[str, str]) -> float:
    if "deadline" not in options:
        return DEADLINE
    milliseconds = _number(options["deadline"], "deadline", _LONGEST_DEADLINE)
    if milliseconds < _SHORTEST_DEADLINE:
        raise ValueError(f"has a deadline below {_SHORTEST_DEADLINE} milliseconds")
    return milliseconds / 1000


def _tls(options: dict[str, str], *, secure: bool) -> Tls | None:
    said = options.get("tls", "true" if secure else "false")
    if said not in ("true", "false"):
        raise ValueError("has a tls that is neither true nor false")
    files = {name: options[name] for name in ("ca", "cert", "key") if name in options}
    if said == "true":
        return Tls(**files)
    if files or secure:
        raise ValueError("asks for TLS and for none")
    return None


def _number(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > most:
        raise ValueError(f"has a {name} that is no number up to {most}")
    return int(text)
