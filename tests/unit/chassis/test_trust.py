"""Whom a client trusts over TLS: files that are read, read again, or a fault that names its setting."""

import ssl
from pathlib import Path

import pytest

from services.chassis.trust import CaFileUnusable, Trust
from tests.support.certificates import Authority


def test_without_a_file_the_machines_own_authorities_do() -> None:
    context = Trust("x").context

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_authorities_of_a_file_are_trusted_alone(tmp_path: Path) -> None:
    context = Trust("x", ca_file=str(Authority(tmp_path).file)).context

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert 1 == len(context.get_ca_certs())


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_that_cannot_be_used_is_a_fault_of_its_setting(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(CaFileUnusable, match=r"^x\.caFile cannot be used: "):
        Trust("x", ca_file=str(file))


def test_a_certificate_without_its_key_is_a_fault_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.write(tmp_path / "c", tmp_path / "k")
    authority.write(tmp_path / "c", tmp_path / "unused")

    with pytest.raises(CaFileUnusable, match=r"^x\.clientCertFile and clientKeyFile cannot be used: "):
        Trust("x", cert_file=str(tmp_path / "c"), key_file=str(tmp_path / "k"))


def test_a_changed_file_is_read_again_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    file = Authority(tmp_path, "first").file
    trust = Trust("x", ca_file=str(file))
    first = trust.context
    assert trust.context is first

    Authority(tmp_path, "a second one")
    second = trust.context
    file.write_text("nothing of the kind")

    assert second is not first
    assert "a second one" in str(second.get_ca_certs())
    assert trust.context is second


def test_a_certificate_may_be_trusted_by_itself_under_any_name(tmp_path: Path) -> None:
    Authority(tmp_path).write(tmp_path / "c", tmp_path / "k", "captcha.llm.svc")
    context = Trust("x", itself=str(tmp_path / "c")).context

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
