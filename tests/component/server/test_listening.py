"""Sockets are bound before anything starts, and carry the options that find a vanished peer."""

import socket
from pathlib import Path

import httpx2
import pytest

from services.chassis.listening import CannotListen, bind_tcp, bind_unix, unlink_unix
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_accepted_connections_inherit_the_keep_alive_options() -> None:
    with bind_tcp("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            listener.setblocking(True)
            accepted, _ = listener.accept()
            with accepted:
                options = [
                    accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                    accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                ]
                user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
                waits = accepted.getsockopt(socket.IPPROTO_TCP, user_timeout) if user_timeout else 30_000

    assert options[0] != 0
    assert options[1:] == [5, 3]
    assert waits == 30_000


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("host", ["::1", "::"])
def test_ipv6_addresses_are_bound_as_such(host: str) -> None:
    if not _has_ipv6():
        with pytest.raises(CannotListen, match=host):
            bind_tcp(host, 0)
        return
    with bind_tcp(host, 0) as listener:
        assert listener.family is socket.AF_INET6
        if host == "::":
            assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:80"):
        bind_tcp("192.0.2.1", 80)


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    bind_unix(path).close()
    assert Path(path).is_socket()
    bind_unix(path).close()
    unlink_unix(path)
    unlink_unix(path)

    assert not Path(path).exists()


async def test_a_unix_socket_in_use_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    async with running_server(RecordingApp(), uds=path):
        with pytest.raises(CannotListen):
            bind_unix(path)
        async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=path)) as client:
            answer = await client.get("http://gateway/")

    assert answer.text == "ok"


def test_a_file_in_the_way_is_not_a_socket_to_replace(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(CannotListen):
        bind_unix(str(path))

    assert path.read_text() == "precious"
