"""When the certificates in named files end: of a file with several, the first, which is whom the file is about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.telemetry import Family, Gauge, Readings

ENDS: Final = Family(
    name="zcode_certificate_expiry_timestamp_seconds",
    kind="gauge",
    help="When the certificate of a configured file ends, seconds since the epoch.",
    unit="seconds",
    labels=("file",),
)
FAMILIES: Final = (ENDS,)


class Certificates:
    """Reads a file again when it has changed. What cannot be read is left out; who uses it complains."""

    def __init__(self, files: Mapping[str, str | None], registry: CollectorRegistry) -> None:
        """`files`: by the setting that names them."""
        self._files = {setting: Path(file) for setting, file in files.items() if file}
        self._known: dict[str, tuple[int, float]] = {}  # setting -> when the file changed, when the certificate ends
        Gauge(ENDS, registry, self._ends)

    def _ends(self) -> Readings:
        return {(setting,): end for setting, path in self._files.items() if (end := self._end(setting, path))}

    def _end(self, setting: str, path: Path) -> float | None:
        try:
            changed = path.stat().st_mtime_ns
            known = self._known.get(setting)
            if known is None or known[0] != changed:
                from cryptography import x509  # noqa: PLC0415 -- heavy, and most processes have no certificate

                first = x509.load_pem_x509_certificates(path.read_bytes())[0]
                known = self._known[setting] = changed, first.not_valid_after_utc.timestamp()
        except (OSError, ValueError):
            return None
        return known[1]
