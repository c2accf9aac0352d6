"""
Are the configured upstreams there? Name, TCP, TLS and the clock, each bounded, and no other host is spoken to.

No key is sent: the one request is `HEAD /`, and only its Date header is read.
"""

import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from services.cli.checks.finding import Finding, Status, failed, passed, skipped, warned
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import formats_in_use, proxy_for, routes

SECONDS: Final = 3.0  # for each step
_SKEW_WARN: Final = 30.0  # seconds
_SKEW_FAIL: Final = 300.0

T = TypeVar("T")


class Peer(msgspec.Struct, frozen=True):
    """Where to connect."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def upstreams(settings: GatewaySettings) -> list[Peer]:
    """List the hosts that the configured routes lead to, each once."""
    configured = routes(settings)
    origins = [configured[wire_format].origin for wire_format in formats_in_use(settings)]
    return list(dict.fromkeys(Peer(origin.scheme, origin.host, origin.port) for origin in origins))


def check_network(settings: GatewaySettings, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Look up, connect to and ask the time of every upstream, or of the proxy in front of it."""
    for peer in upstreams(settings):
        proxy = proxy_for(settings.upstream, peer.host)
        if proxy is None:
            yield from check_peer(peer, settings.upstream.ca_file, now)
        else:
            parts = urlsplit(proxy)
            through = Peer(parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme])
            yield from _check_reachable(through, "proxy")
            yield skipped("clock", f"{peer} is reached through the proxy {through}, so it was not asked")


def check_peer(peer: Peer, ca_file: str | None, now: Callable[[], float]) -> Iterator[Finding]:
    """Check one upstream that is reached directly."""
    reachable = True
    for finding in _check_reachable(peer, "upstream"):
        reachable = reachable and finding.status is Status.GOOD
        yield finding
    if not reachable:
        return
    try:
        before = now()
        date = _ask_date(peer, ca_file)
        after = now()
    except ssl.SSLError as error:
        yield failed("TLS", f"{peer}: {_ssl_words(error)}", "behind an inspecting proxy, set upstream.caFile to its CA")
        return
    except (OSError, http.client.HTTPException) as error:
        yield failed("upstream", f"{peer} accepts connections but does not answer: {_words(error)}")
        return
    if peer.scheme == "https":
        yield passed("TLS", f"{peer}: the certificate is valid")
    yield judge_clock(peer, date, (before + after) / 2)


def judge_clock(peer: Peer, date: str | None, now: float) -> Finding:
    """Compare our clock (Unix seconds) with an answer's Date header."""
    stamp = _parsed(date)
    if stamp is None:
        return skipped("clock", f"{peer} sent no readable Date header")
    skew = now - stamp.timestamp()
    words = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {peer.host}"
    advice = "set the clock: logins, certificates and reset times depend on it (timedatectl set-ntp true)"
    if abs(skew) >= _SKEW_FAIL:
        return failed("clock", words, advice)
    if abs(skew) >= _SKEW_WARN:
        return warned("clock", words, advice)
    return passed("clock", f"agrees with {peer.host}")


def _check_reachable(peer: Peer, check: str) -> Iterator[Finding]:
    try:
        addresses = _within(SECONDS, lambda: socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM))
    except TimeoutError:
        yield failed("DNS", f"{peer.host}: no answer within {SECONDS:.0f} s", "check the name server and the network")
        return
    except OSError as error:
        yield failed("DNS", f"{peer.host}: {_words(error)}", "check the spelling of the base and the network")
        return
    if not _is_address(peer.host):
        yield passed("DNS", f"{peer.host} is {addresses[0][4][0]}")
    try:
        socket.create_connection((peer.host, peer.port), timeout=SECONDS).close()
    except OSError as error:
        yield failed(
            check, f"{peer}: {_words(error)}", "a firewall, or a proxy that must be set (ZCODE_UPSTREAM_PROXY)?"
        )
        return
    yield passed(check, f"{peer} accepts connections")


def _ask_date(peer: Peer, ca_file: str | None) -> str | None:
    connection: http.client.HTTPConnection
    if peer.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        connection = http.client.HTTPSConnection(peer.host, peer.port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(peer.host, peer.port, timeout=SECONDS)
    try:
        connection.request("HEAD", "/")
        return connection.getresponse().getheader("date")
    finally:
        connection.close()


def _parsed(date: str | None) -> datetime | None:
    try:
        return None if date is None else parsedate_to_datetime(date)
    except ValueError:
        return None


def _within(seconds: float, function: Callable[[], T]) -> T:
    """Run a call that knows no timeout, such as a name look-up; a late one is left to a daemon thread."""
    outcome: list[T | OSError] = []

    def run() -> None:
        try:
            outcome.append(function())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TimeoutError
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:.0f} s"
    if isinstance(error, socket.gaierror):
        return "the name is not known"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()
    return type(error).__name__


def _ssl_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    return f"no TLS connection ({error.reason or 'broken off'})"
