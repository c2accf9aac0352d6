"""Whom to trust over TLS: a file of authorities that is read, or a fault that names its setting."""

import ssl
from pathlib import Path

import pytest

from services.chassis.trust import CaFileUnusable, context_of
from tests.support.certificates import Authority


def test_without_a_file_the_machines_own_authorities_do() -> None:
    assert context_of(None, "x.caFile") is None


def test_the_authorities_of_a_file_are_trusted(tmp_path: Path) -> None:
    context = context_of(str(Authority(tmp_path).file), "x.caFile")

    assert context is not None
    assert ssl.CERT_REQUIRED == context.verify_mode
    assert context.check_hostname
    assert 1 == len(context.get_ca_certs())


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_that_cannot_be_used_is_a_fault_of_its_setting(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CaFileUnusable, match=r"^x\.caFile cannot be used: "):
        context_of(str(file), "x.caFile")
