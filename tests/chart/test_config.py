"""The configuration and the environment that the chart gives to a process are ones that the process takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.cli.configuration import load
from tests.chart.rendering import CI, ROOT_OF_SECRETS, render

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
HAPROXY = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
OURS = ("gateway", "credentials", "captcha", "init", "backup", "rotation")


def _environment(container: dict[str, Any], directory: Path) -> dict[str, str]:
    """Return what the container would see, its secrets being files of ours."""
    found = {}
    for variable in container.get("env", []):
        value = variable.get("value", "redis://from-a-secret:6379")
        if variable["name"].endswith("_FILE") and value.startswith(ROOT_OF_SECRETS):
            path = directory / value.removeprefix(ROOT_OF_SECRETS)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("a-secret-that-is-long-enough-for-anybody\n")
            value = str(path)
        found[variable["name"]] = value
    return found


@pytest.mark.parametrize("name", [name for name in CI if name != "own-config"])
def test_every_process_takes_its_configuration_without_a_fault(name: str, tmp_path: Path) -> None:
    chart = render(name)
    (tmp_path / "config.yaml").write_text(chart.one("ConfigMap", "-config")["data"]["config.yaml"])
    seen = 0
    for where, container in chart.containers():
        if container["name"] in OURS:
            loaded = load(tmp_path / "config.yaml", _environment(container, tmp_path))
            assert ((), ()) == (loaded.faults, loaded.warnings), where
            seen += 1
    assert seen


def test_compose_hardens_its_containers_as_the_chart_does() -> None:
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        assert service["read_only"], name
        assert ["ALL"] == service["cap_drop"], name
        assert ["no-new-privileges:true"] == service["security_opt"], name
        if service["image"].startswith("zcode-proxy"):
            assert "65532:65532" == service["user"], name
    gateways = [name for name in services if name.startswith("gateway-")]
    assert all(f"server {name} {name}:8080" in HAPROXY.read_text() for name in gateways)
    assert len(gateways) == 2
