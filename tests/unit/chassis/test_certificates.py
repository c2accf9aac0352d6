"""The end of a named certificate is exported, read again when the file changes, left out when it cannot be read."""

import os
from pathlib import Path

from cryptography import x509
from prometheus_client import CollectorRegistry

from services.chassis.certificates import Certificates
from tests.support.certificates import Authority


def _end(registry: CollectorRegistry, file: str = "upstream.caFile") -> float | None:
    return registry.get_sample_value("zcode_certificate_expiry_timestamp_seconds", {"file": file})


def test_the_end_of_a_certificate_is_exported(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    registry = CollectorRegistry()
    Certificates({"upstream.caFile": str(authority.file), "store.caFile": None}, registry)
    certificate = x509.load_pem_x509_certificate(authority.file.read_bytes())

    assert certificate.not_valid_after_utc.timestamp() == _end(registry) == _end(registry)
    assert _end(registry, "store.caFile") is None


def test_a_new_certificate_is_seen_and_a_broken_one_left_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server("127.0.0.1", days=20)
    server = tmp_path / "server.pem"
    registry = CollectorRegistry()
    Certificates({"upstream.caFile": str(server)}, registry)
    before = _end(registry) or 0.0

    authority.server("127.0.0.1", days=40)
    os.utime(server, ns=(1, 1))
    assert (_end(registry) or 0.0) > before + 10 * 86400

    server.write_text("nothing of the kind")
    assert _end(registry) is None
    server.unlink()
    assert _end(registry) is None
