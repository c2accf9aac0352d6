"""A listener's certificate: what is wrong with its files is said all at once, by the settings that name them."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.chassis.peer.settings import TlsSettings
from services.chassis.server_tls import CertificateFiles, CertificateUnusable, ServerTls, server_tls_of
from tests.support.certificates import Authority


@pytest.fixture
def files(tmp_path: Path) -> CertificateFiles:
    cert, key, client_ca = (tmp_path / name for name in ("tls.crt", "tls.key", "clients.pem"))
    authority = Authority(tmp_path)
    authority.write(cert, key)
    client_ca.write_bytes(authority.file.read_bytes())
    return CertificateFiles("x.tls", cert, key, client_ca)


def faults(files: CertificateFiles) -> list[str]:
    with pytest.raises(CertificateUnusable) as caught:
        ServerTls(files)
    return str(caught.value).splitlines()


def test_nothing_older_than_tls_1_2_is_spoken(files: CertificateFiles) -> None:
    context = ServerTls(files).context

    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.options & ssl.OP_NO_TICKET


def test_every_file_that_is_missing_is_named(tmp_path: Path) -> None:
    found = faults(CertificateFiles("x.tls", tmp_path / "a", tmp_path / "b", tmp_path / "c"))

    assert [line.partition(" ")[0] for line in found] == ["x.tls.certFile", "x.tls.keyFile", "x.tls.clientCaFile"]
    assert all("No such file" in line for line in found)


def test_files_that_hold_something_else_are_named(files: CertificateFiles) -> None:
    for path in files.all:
        path.write_text("nothing of the kind")

    assert [line.partition(" ")[0] for line in faults(files)] == [
        "x.tls.certFile",
        "x.tls.keyFile",
        "x.tls.clientCaFile",
    ]


def test_a_key_of_another_certificate_is_told(files: CertificateFiles, tmp_path: Path) -> None:
    Authority(tmp_path).write(tmp_path / "unused", files.key)

    assert faults(files) == ["x.tls.keyFile is not the key of x.tls.certFile"]


def test_an_encrypted_key_is_told_and_nobody_asked_for_a_password(files: CertificateFiles) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    lock = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    files.key.write_bytes(key.private_bytes(*form))

    assert faults(files) == ["x.tls.keyFile holds no private key in PEM, or an encrypted one"]


def test_settings_without_a_certificate_mean_plain_http(files: CertificateFiles) -> None:
    settings = TlsSettings(cert_file=str(files.cert), key_file=str(files.key))

    assert server_tls_of("x.tls", TlsSettings()) is None
    assert server_tls_of("x.tls", settings) is not None
