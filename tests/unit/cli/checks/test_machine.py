import msgspec
import pytest

from services.cli.checks.finding import Status
from services.cli.checks.machine import check_descriptors, check_proxy_variables
from services.gateway.settings import GatewaySettings, UpstreamSettings

DEFAULTS = GatewaySettings()


@pytest.mark.parametrize(
    ("limit", "status"), [(-1, Status.GOOD), (2**63 - 1, Status.GOOD), (8192, Status.GOOD), (1024, Status.WARN)]
)
def test_a_full_house_needs_descriptors(limit: int, status: Status) -> None:
    assert check_descriptors(limit, DEFAULTS).status is status


@pytest.mark.parametrize(
    ("environ", "proxy", "status", "words"),
    [
        ({}, None, Status.GOOD, "none"),
        ({"HTTPS_PROXY": ""}, None, Status.GOOD, "none"),
        ({"HTTP_PROXY": "http://p", "all_proxy": "x"}, None, Status.WARN, "HTTP_PROXY, all_proxy is set but not used"),
        ({"HTTPS_PROXY": "http://u:canary@p"}, "http://u:canary@p", Status.GOOD, "httpx transport"),
    ],
)
def test_what_the_proxy_variables_do(environ: dict[str, str], proxy: str | None, status: Status, words: str) -> None:
    settings = msgspec.structs.replace(DEFAULTS, upstream=UpstreamSettings(proxy=proxy))
    (found,) = check_proxy_variables(settings, environ)

    assert found.status is status
    assert words in found.message
    assert "canary" not in found.message
