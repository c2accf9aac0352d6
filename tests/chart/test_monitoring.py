"""Rung 7: the rules and dashboards as they are rendered: what Prometheus and Grafana get is what the files say."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml

from tests.chart.rendering import CHART, render

RULES = sorted((CHART / "alerts").glob("*.rules.yaml"))
DASHBOARDS = sorted((CHART / "dashboards").glob("*.json"))


def test_prometheus_takes_the_rendered_rules(tmp_path: Path) -> None:
    groups = render("monitoring").one("PrometheusRule")["spec"]["groups"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    promtool = shutil.which("promtool")
    assert promtool, "Debian: prometheus"

    done = subprocess.run(
        [promtool, "check", "rules", str(tmp_path / "rules.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rendered_rules_are_the_files_and_the_users() -> None:
    groups = render("monitoring").one("PrometheusRule")["spec"]["groups"]
    written = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]

    assert groups[: len(written)] == written
    assert ["ours"] == [group["name"] for group in groups[len(written) :]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_arrives_unchanged_and_every_expression_parses(path: Path) -> None:
    (data,) = [each["data"][path.name] for each in render("monitoring").all("ConfigMap") if path.name in each["data"]]
    dashboard = json.loads(data)
    assert json.loads(path.read_text()) == dashboard

    panels = [inner for panel in dashboard["panels"] for inner in [panel, *panel.get("panels", [])]]
    expressions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    assert expressions
    for expression in expressions:
        promql_parser.parse(re.sub(r"\$__(rate_interval|range|interval)", "5m", expression))


def test_scrapes_need_no_public_port() -> None:
    chart = render("monitoring")
    (public,) = [each for each in chart.all("Service") if each["metadata"]["name"] == "rel-zcode-proxy"]

    assert ["http"] == [port["targetPort"] for port in public["spec"]["ports"]]
    assert "prometheus" == chart.one("ServiceMonitor")["metadata"]["labels"]["release"]
