"""Sockets as this process wants them: bound before anything is started, and quick to notice a vanished peer."""

import contextlib
import socket
from pathlib import Path
from typing import Final

_SOCKET_MODE: Final = 0o660

# Accepted sockets inherit these from the listening one on Linux and the BSDs, so they cost nothing per connection.
# A peer that is gone is found after 15 s of silence and three unanswered probes, or when sent bytes go
# unacknowledged for 30 s (promises.md C7). Without the last one the kernel takes megabytes that a slow client has not
# asked for, each, and that long it does not seem slow (P-44); it bounds what is unsent, not what is in flight.
_TCP_OPTIONS: Final = (
    ("TCP_NODELAY", 1),
    ("TCP_KEEPIDLE", 15),
    ("TCP_KEEPALIVE", 15),  # macOS's name for TCP_KEEPIDLE
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 30_000),
    ("TCP_NOTSENT_LOWAT", 128 * 1024),
)


class CannotListen(Exception):
    """An address that is taken, not ours or not allowed; the message names it."""


def bind_tcp(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet; port 0 lets the system choose."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if host == "::":  # both families on one socket, whatever the system's default
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        _set_tcp_options(listener)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def _set_tcp_options(listener: socket.socket) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            with contextlib.suppress(OSError):  # an option the kernel does not take is no reason not to serve
                listener.setsockopt(socket.IPPROTO_TCP, option, value)


def bind_unix(path: str) -> socket.socket:
    """Return a bound unix socket of mode 0660, taking the place of one that nobody answers on any more."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        listener.bind(path)
        # Nobody can connect before listen(), so there is no moment at which the looser mode matters.
        Path(path).chmod(_SOCKET_MODE)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {path}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()


def unlink_unix(path: str) -> None:
    """Take a socket's name away again; one that is gone already is fine."""
    Path(path).unlink(missing_ok=True)
