"""
What a listener shows over TLS: a certificate, and whose certificates it takes, read anew when a file changes.

Whoever renews a certificate (cert-manager, an ACME client) will not restart us, and need not: each handshake looks at
the files' times, and goes on with a new context when they have changed. Connections that are open keep theirs, so no
request is dropped. Files that do not fit together, as in the middle of a change, leave the last good ones in use.
"""

import logging
import ssl
from pathlib import Path
from typing import Final

import msgspec

from services.chassis.file_stamp import Stamp, stamp_of
from services.chassis.peer.settings import TlsSettings

_LARGEST: Final = 1024 * 1024

_log = logging.getLogger(__name__)


class CertificateUnusable(Exception):
    """The files of a listener's certificate cannot be used; the message has a line for each reason."""


class CertificateFiles(msgspec.Struct, frozen=True):
    """Where a listener's certificate lies; `setting` is what names the files, such as credentials.tls."""

    setting: str
    cert: Path  # PEM, the listener's own first, then those between it and the authority
    key: Path  # PEM, not encrypted
    client_ca: Path | None = None  # PEM; every client must then show a certificate of one of these authorities

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.cert, self.key) if self.client_ca is None else (self.cert, self.key, self.client_ca)


class ServerTls:
    """A listener's side of TLS. `context` is the one to listen with; each handshake is done with the newest."""

    def __init__(self, files: CertificateFiles) -> None:
        """Read the files. Raises CertificateUnusable."""
        self._files = files
        self._seen = stamp_of(*files.all)
        self._newest = self.context = _context(files)
        # Called in every handshake, also for a client that names no server.
        self.context.sni_callback = self._choose

    def _choose(self, handshake: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        if (seen := stamp_of(*self._files.all)) != self._seen:
            self._renew(seen)
        handshake.context = self._newest

    def _renew(self, seen: Stamp) -> None:
        self._seen = seen
        try:
            self._newest = _context(self._files)
        except CertificateUnusable as error:
            _log.error("the changed certificate is not taken, the last good one stays: %s", error)
        else:
            _log.info("%s: the changed certificate is in use", self._files.setting)


def server_tls_of(setting: str, tls: TlsSettings) -> ServerTls | None:
    """Return what the settings say, None for plain HTTP. Raises CertificateUnusable."""
    if tls.cert_file is None or tls.key_file is None:
        return None
    cert, key = (Path(name).expanduser() for name in (tls.cert_file, tls.key_file))
    client_ca = None if tls.client_ca_file is None else Path(tls.client_ca_file).expanduser()
    return ServerTls(CertificateFiles(setting, cert, key, client_ca))


def _context(files: CertificateFiles) -> ssl.SSLContext:
    faults = [*_faults(files)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # A resumed session is not verified again, and connections between our processes live long.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    if files.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(files.client_ca)
        except OSError as error:
            faults.append(f"{files.setting}.clientCaFile cannot be used: {error.strerror or error}")
    if not faults:
        try:
            context.load_cert_chain(files.cert, files.key)
        except OSError as error:
            faults.append(f"{files.setting} cannot be used: {error.strerror or error}")
    if faults:
        raise CertificateUnusable("\n".join(faults))
    return context


def _faults(files: CertificateFiles) -> list[str]:
    """Name what is wrong with certificate and key, better than OpenSSL does."""
    # Heavy, and most processes serve without TLS.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    faults, certificate, key = [], None, None
    try:
        certificate = x509.load_pem_x509_certificates(_read(files.cert))[0]
    except OSError as error:
        faults.append(f"{files.setting}.certFile cannot be read: {error.strerror or error}")
    except (ValueError, UnsupportedAlgorithm):
        faults.append(f"{files.setting}.certFile holds no certificate in PEM")
    try:
        key = serialization.load_pem_private_key(_read(files.key), None)
    except OSError as error:
        faults.append(f"{files.setting}.keyFile cannot be read: {error.strerror or error}")
    except (ValueError, TypeError, UnsupportedAlgorithm):
        faults.append(f"{files.setting}.keyFile holds no private key in PEM, or an encrypted one")
    if certificate is not None and key is not None and certificate.public_key() != key.public_key():
        faults.append(f"{files.setting}.keyFile is not the key of {files.setting}.certFile")
    return faults


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)
