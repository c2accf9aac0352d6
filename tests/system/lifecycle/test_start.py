"""
What a process does not import when it starts without a use for it: that is most of the time and memory of a start.

Not a matter of seconds, which say more about the machine: `python -X importtime` is what is looked at. Shown to fail
once by: books that import Redis at the top of their factory.
"""

import re
from pathlib import Path

from tests.support.cluster import Cluster

OF_REDIS = {"redis", "opentelemetry.sdk"}  # its library imports that SDK
FOR_PEOPLE = {"rich", "services.cli.checks.network", "services.cli.login_screen"}
RARE = {"services.gateway.upstream.httpx_transport", "opentelemetry.exporter", "services.simulator.app"}
OF_OTHERS = {
    "gateway": {
        "services.credentials.vault",
        "services.credentials.stores",
        "services.captcha.service",
        "cryptography",
    },
    "credentials": {"services.gateway.app", "services.gateway.translation", "services.captcha.service"},
}


def _imported(log: str) -> set[str]:
    """Return the modules of a log that -X importtime wrote, with the packages that they are in."""
    names = re.findall(r"^import time:.*\| +(\S+)$", log, re.MULTILINE)
    parts = [name.split(".") for name in names]
    return {".".join(each[: n + 1]) for each in parts for n in range(len(each))}


def test_a_start_imports_what_it_uses(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "http://127.0.0.1:1", socket=True, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    cluster.command("init")
    with cluster.credentials() as service, cluster.gateway() as gateway:
        cluster.wait(lambda: "credentials" not in cluster.readiness()[1].get("degraded", ["credentials"]), gateway)
        by_service, by_gateway = _imported(service.log), _imported(gateway.log)

    assert {"services.gateway.app", "litestar"} <= by_gateway
    assert {"services.credentials.vault", "litestar"} <= by_service
    assert set() == by_gateway & (OF_REDIS | FOR_PEOPLE | RARE | OF_OTHERS["gateway"])
    assert set() == by_service & (OF_REDIS | FOR_PEOPLE | RARE | OF_OTHERS["credentials"])
