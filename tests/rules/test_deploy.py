"""The monitoring beside compose.yaml holds together: files that it names are there, and Prometheus takes its own."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


def _load(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text())


def test_every_file_that_is_mounted_is_there() -> None:
    services = _load("compose.monitoring.yaml")["services"]
    mounted = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]

    assert [] == [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()]


def test_prometheus_looks_at_processes_that_compose_runs() -> None:
    jobs = _load("prometheus/prometheus.yaml")["scrape_configs"]
    targets = [target for job in jobs for group in job["static_configs"] for target in group["targets"]]
    known = _load("compose.yaml")["services"]

    assert targets
    assert [] == [target for target in targets if target.split(":")[0] not in known]
    assert {"9090", "9091"} == {target.split(":")[1] for target in targets}


def test_what_is_added_to_the_gateways_is_added_to_ones_that_are_there() -> None:
    added = _load("compose.monitoring.yaml")["services"]

    known = _load("compose.yaml")["services"]
    assert {"credentials-1", "credentials-2", "gateway-1", "gateway-2"} == set(known) & set(added)


def test_prometheus_takes_its_configuration(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus" / "prometheus.yaml", tmp_path)
    shutil.copy(DEPLOY.parent / "helm" / "zcode-proxy" / "alerts" / "zcode.rules.yaml", tmp_path)
    words = ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr


def test_every_image_has_a_version() -> None:
    images = [
        service["image"] for service in _load("compose.monitoring.yaml")["services"].values() if "image" in service
    ]

    assert [] == [image for image in images if ":" not in image or image.endswith(":latest")]
