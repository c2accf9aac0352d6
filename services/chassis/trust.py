"""Whom to trust over TLS besides the machine's own authorities, and what to show to those who want to know us."""

import logging
import ssl
from pathlib import Path

from services.chassis.file_stamp import Stamp, stamp_of

_log = logging.getLogger(__name__)


class CaFileUnusable(Exception):
    """The authorities to trust cannot be read; says which setting names them."""


class Trust:
    """
    A client's side of TLS, read anew when a file changes: authorities are renewed too, and gateways run for months.

    Files that cannot be used leave the last good ones in use.
    """

    def __init__(
        self,
        section: str,
        *,
        ca_file: str | None = None,
        itself: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
    ) -> None:
        """
        `section` is what the settings' names begin with, such as credentials. Raises CaFileUnusable.

        `itself`, in place of authorities, is the service's own certificate: that very one is trusted, by any name.
        """
        self._section = section
        self._itself = _path(itself)
        self._ca, self._cert, self._key = (_path(name) for name in (ca_file or itself, cert_file, key_file))
        self._files = tuple(path for path in (self._ca, self._cert, self._key) if path is not None)
        self._seen: Stamp = stamp_of(*self._files)
        self._context = self._make()

    @property
    def context(self) -> ssl.SSLContext:
        """The newest that could be made; the same object until a file has changed."""
        if (seen := stamp_of(*self._files)) != self._seen:
            self._seen = seen
            try:
                self._context = self._make()
            except CaFileUnusable as error:
                _log.error("changed files are not taken, the last good ones stay: %s", error)
        return self._context

    def _make(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
        except OSError as error:
            raise CaFileUnusable(f"{self._section}.caFile cannot be used: {error.strerror or error}") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._itself is not None:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self._cert is not None:
            try:
                # Without a password OpenSSL would ask for one on the terminal.
                context.load_cert_chain(self._cert, self._key, password="")
            except OSError as error:
                names = f"{self._section}.clientCertFile and clientKeyFile"
                raise CaFileUnusable(f"{names} cannot be used: {error.strerror or error}") from None
        return context


def _path(name: str | None) -> Path | None:
    return None if name is None else Path(name).expanduser()
