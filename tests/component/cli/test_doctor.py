"""Doctor against real sockets on loopback: a stand-in upstream with and without TLS, a taken port, nobody at all."""

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.cli.checks.finding import Finding, Status
from services.cli.checks.machine import check_port
from services.cli.checks.network import Peer, check_network, check_peer
from services.gateway.settings import GatewaySettings, ProviderSettings, UpstreamSettings
from tests.component.cli.conftest import Cli

Serve = Callable[..., int]


class Upstream:
    """Answers every connection with one canned answer and remembers what it was asked."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None) -> None:
        self._answer = answer
        self._context = context
        self.asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with connection:
                    asked = connection.recv(4096)
                    if asked:
                        self.asked.append(asked)
                        connection.sendall(self._answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def upstream() -> Iterator[Callable[..., Upstream]]:
    running: list[Upstream] = []

    def start(answer: bytes, context: ssl.SSLContext | None = None) -> Upstream:
        running.append(Upstream(answer, context))
        return running[-1]

    yield start
    for server in running:
        server.close()


def answer(skew_seconds: float = 0) -> bytes:
    date = dt.datetime.fromtimestamp(time.time() - skew_seconds, dt.UTC)
    return f"HTTP/1.1 404 Not Found\r\ndate: {format_datetime(date, usegmt=True)}\r\ncontent-length: 0\r\n\r\n".encode()


def peer_findings(peer: Peer, ca_file: str | None = None) -> dict[str, Finding]:
    return {finding.check: finding for finding in check_peer(peer, ca_file, time.time)}


def settings_for(port: int) -> GatewaySettings:
    base = f"http://127.0.0.1:{port}"
    vendor = ProviderSettings(anthropic_base=f"{base}/api/anthropic", openai_base=f"{base}/api/coding/paas/v4")
    return GatewaySettings(provider="mine", providers={"mine": vendor})


def test_an_upstream_that_answers_passes_and_is_sent_nothing_but_a_head_request(
    upstream: Callable[..., Upstream],
) -> None:
    server = upstream(answer())
    found = list(check_network(settings_for(server.port)))

    assert [(finding.check, finding.status) for finding in found] == [
        ("upstream", Status.GOOD), ("clock", Status.GOOD)
    ]  # fmt: skip
    assert [asked.partition(b"\r\n")[0] for asked in server.asked] == [b"HEAD / HTTP/1.1"]
    assert b"authorization" not in server.asked[0].lower()
    assert b"x-api-key" not in server.asked[0].lower()


def test_a_wrong_clock_is_told(upstream: Callable[..., Upstream]) -> None:
    server = upstream(answer(skew_seconds=400))

    assert peer_findings(Peer("http", "127.0.0.1", server.port))["clock"].status is Status.FAIL


def test_nobody_there_is_told_with_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = peer_findings(Peer("http", "127.0.0.1", port))

    assert set(found) == {"upstream"}
    assert found["upstream"].status is Status.FAIL
    assert "connection refused" in found["upstream"].message
    assert found["upstream"].advice


def test_a_name_that_does_not_exist_is_told() -> None:
    found = peer_findings(Peer("https", "no-such-host.invalid", 443))

    assert found["DNS"].status is Status.FAIL
    assert set(found) == {"DNS"}


def test_something_that_does_not_speak_http_is_told(upstream: Callable[..., Upstream]) -> None:
    server = upstream(b"220 smtp ready\r\n")
    found = peer_findings(Peer("http", "127.0.0.1", server.port))

    assert (found["upstream"].status, found["upstream"].message.partition(" ")[2]) == (
        Status.FAIL,
        "accepts connections but does not answer: BadStatusLine",
    )


def test_a_tls_peer_that_speaks_plain_text_is_told(upstream: Callable[..., Upstream]) -> None:
    server = upstream(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    found = peer_findings(Peer("https", "127.0.0.1", server.port))

    assert found["TLS"].status is Status.FAIL
    assert "no TLS connection" in found["TLS"].message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_is_checked_against_the_configured_authorities(
    upstream: Callable[..., Upstream], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    peer = Peer("https", "127.0.0.1", upstream(answer(), context).port)

    trusted = peer_findings(peer, str(certificate))
    assert [trusted[check].status for check in ("upstream", "TLS", "clock")] == [Status.GOOD] * 3
    found = peer_findings(peer)["TLS"]
    assert found.status is Status.FAIL
    assert "not trusted" in found.message
    assert "upstream.caFile" in (found.advice or "")


def test_behind_a_proxy_only_the_proxy_is_spoken_to(upstream: Callable[..., Upstream]) -> None:
    proxy = upstream(answer())
    settings = GatewaySettings(upstream=UpstreamSettings(proxy=f"http://u:canary@127.0.0.1:{proxy.port}"))
    found = list(check_network(settings))

    assert [(finding.check, finding.status) for finding in found] == [
        ("proxy", Status.GOOD), ("clock", Status.SKIP)
    ]  # fmt: skip
    assert proxy.asked == []
    assert "canary" not in "".join(finding.message for finding in found)


def test_a_taken_port_is_told_and_a_free_one_is_left_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        assert check_port("127.0.0.1", port, "server.port").status is Status.WARN
    assert check_port("127.0.0.1", port, "server.port").status is Status.GOOD
    assert check_port("::1", 0, "server.port").check == "port"


CONFIG = """\
auth: {{apiKey: 0123456789abcdef.CanarySecret}}
server: {{port: 0, adminPort: 0}}
providers:
  zai: {{anthropicBase: "http://127.0.0.1:{port}/api/anthropic"}}
"""


def test_the_command_passes_with_0_and_a_summary(cli: Cli, upstream: Callable[..., Upstream]) -> None:
    Path("config.yaml").write_text(CONFIG.format(port=upstream(answer()).port))
    result = cli("doctor")

    assert result.exit_code == 0, result.output
    assert "pass\tclock\tagrees with 127.0.0.1" in result.stdout.splitlines()
    assert " failed" not in result.stdout
    assert "Canary" not in result.output


def test_the_command_fails_with_1_and_json_for_scripts(cli: Cli) -> None:
    Path("config.yaml").write_text("zzzz: 1\n")
    result = cli("doctor", "--json")
    found = json.loads(result.stdout)

    assert result.exit_code == 1
    assert found[0]["status"] == "fail"
    assert found[0]["advice"]
    assert found[-1] == {
        "check": "network",
        "status": "skip",
        "message": "not looked at until the configuration has no faults",
        "advice": None,
    }


def test_offline_speaks_to_nobody(cli: Cli, upstream: Callable[..., Upstream]) -> None:
    server = upstream(answer())
    Path("config.yaml").write_text(CONFIG.format(port=server.port))
    result = cli("doctor", "--offline")

    assert result.exit_code == 0
    assert "skip\tnetwork\tnot looked at (--offline)" in result.stdout.splitlines()
    assert server.asked == []


def test_what_to_do_next_stands_below_each_finding(cli: Cli) -> None:
    result = cli("doctor", "--offline")

    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("fail\tupstream key"))
    assert lines[at + 1].startswith("\t\t→ log in with `zcode-proxy auth login zai`")
