"""
The headers of the page and of all that belongs to it (promises.md C14). Pure.

The provider's widget is foreign code on our page, so the policy names the hosts it may come from and talk to, and
nothing else. It styles what it draws, therefore styles may be inline; scripts may not, but for those from its hosts.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

_FEATURES: Final = (
    "accelerometer", "autoplay", "camera", "clipboard-read", "display-capture", "encrypted-media", "fullscreen",
    "geolocation", "gyroscope", "hid", "magnetometer", "microphone", "midi", "payment", "picture-in-picture",
    "publickey-credentials-get", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip

FIXED: Final = {
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "permissions-policy": ", ".join(f"{feature}=()" for feature in _FEATURES),
    "x-robots-tag": "noindex",
}
NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
"""The policy of everything that is no document."""


def policy(nonce: str, hosts: Sequence[str], *, allow_eval: bool) -> str:
    """Return the page's content security policy; `hosts` are origins, or hosts that are reached over TLS."""
    named = " ".join(host if "://" in host else f"https://{host}" for host in hosts)
    evaluating = " 'unsafe-eval'" if allow_eval else ""
    directives = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}' {named}{evaluating}",
        "connect-src": f"'self' {named}",
        "img-src": f"'self' data: blob: {named}",
        "style-src": f"'self' 'unsafe-inline' {named}",
        "font-src": f"data: {named}",
        "media-src": f"data: blob: {named}",
        "frame-src": named or "'none'",
        "worker-src": "blob:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def widget_hosts(hosts: Sequence[str], sdk_url: str) -> tuple[str, ...]:
    """Return the configured hosts and, where they leave it out, the one that the widget itself is loaded from."""
    parts = urlsplit(sdk_url)
    own = f"{parts.scheme}://{parts.netloc}"
    covered = parts.scheme == "https" and any(_covers(host, parts.netloc) for host in hosts)
    return (*hosts,) if covered else (*hosts, own)


def transport_security(origin: str) -> dict[str, str]:
    """Return what a page with TLS adds."""
    return {"strict-transport-security": "max-age=31536000"} if origin.startswith("https:") else {}


def _covers(host: str, netloc: str) -> bool:
    return netloc == host or (host.startswith("*.") and netloc.endswith(host[1:]))
