"""The trust store and the TLS parameters of every call to the upstream."""

import ssl


def make_tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """
    Return a verifying client context: the machine's trust store, and the certificates of `ca_file` besides.

    Raises `OSError` or `ssl.SSLError` for a file that cannot be read or holds no certificate; at start, not at the
    first request.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
