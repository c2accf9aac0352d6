import ssl
from pathlib import Path

from services.gateway.upstream.tls import make_tls_context
from tests.support.certificates import Authority


def test_context_verifies_host_and_chain() -> None:
    context = make_tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_ca_file_is_added_to_the_trust_store_and_does_not_replace_it(tmp_path: Path) -> None:
    context = make_tls_context(str(Authority(tmp_path, "extra").file))
    names = [str(authority["subject"]) for authority in context.get_ca_certs()]
    assert sum("extra" in name for name in names) == 1
    assert len(names) == len(make_tls_context().get_ca_certs()) + 1
