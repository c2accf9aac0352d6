"""Alerts and panels speak of metrics that there are, and every metric is to be seen somewhere."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.chassis.telemetry import Family
from services.cli.metrics import families_of_services

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "zcode-proxy"
RULES = yaml.safe_load((CHART / "alerts" / "zcode.rules.yaml").read_text())
TESTS = yaml.safe_load((ROOT / "tests" / "rules" / "zcode.test.yaml").read_text())
DASHBOARD = CHART / "dashboards" / "zcode-proxy.json"
RUNBOOKS = ROOT / "docs" / "runbooks"

FAMILIES: dict[str, Family] = {
    family.shown: family for families in families_of_services().values() for family in families
}
_CLAUSE = re.compile(r"\b(by|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_MATCHERS = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}')
_NAME = re.compile(r"\b(?:zcode|gen_ai|process)[a-zA-Z0-9_:]*")
_PART = re.compile(r"_(bucket|sum|count)$")


def _rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def _panels() -> Iterator[dict[str, Any]]:
    yield from json.loads(DASHBOARD.read_text())["panels"]


ALERTS = {rule["alert"]: rule for rule in _rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in _rules() if "record" in rule}
IN_RULES = [str(rule["expr"]) for rule in _rules()]
IN_PANELS = [str(target["expr"]) for panel in _panels() for target in panel.get("targets", ())]
EXPRESSIONS = sorted({*IN_RULES, *IN_PANELS})


def names_in(expression: str) -> set[str]:
    """Return the metrics of an expression; a histogram's by the name of its family."""
    return set(_NAME.findall(_MATCHERS.sub("", _CLAUSE.sub("", expression))))


def _family(name: str) -> str:
    part = _PART.sub("", name)
    return part if part in FAMILIES and FAMILIES[part].kind == "histogram" else name


def test_names_are_found_where_they_are() -> None:
    expression = 'sum by (gen_ai_x, le) (rate(zcode_a_bucket{zcode_l=~"zcode_v"}[5m])) / on (zcode_n) zcode:b:rate5m'

    assert {"zcode_a_bucket", "zcode:b:rate5m"} == names_in(expression)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_every_expression_speaks_of_metrics_that_there_are(expression: str) -> None:
    names = {_family(name) for name in names_in(expression)} - RECORDED

    assert names or "zcode:" in expression
    assert set() == names - set(FAMILIES)


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_every_label_is_one_that_the_metric_has(expression: str) -> None:
    """What a scrape adds (namespace, pod, instance, job) is left out."""
    known = {"namespace", "pod", "instance", "job", "le"}
    for name, matchers in re.findall(r"((?:zcode|gen_ai|process)_[a-z0-9_]+)(\{[^}]*\})?", expression):
        family = FAMILIES.get(_family(name))
        if family is not None and matchers:
            labels = set(re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)", re.sub(r'"[^"]*"', "", matchers)))
            assert set() == labels - known - set(family.labels), (name, matchers)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_metric_is_to_be_seen_on_a_panel(name: str) -> None:
    assert any(name in {_family(found) for found in names_in(expression)} for expression in IN_PANELS)


def test_the_dashboard_is_what_its_maker_makes() -> None:
    """Renew it with: python deploy/grafana/dashboard.py > helm/zcode-proxy/dashboards/zcode-proxy.json."""
    maker = ROOT / "deploy" / "grafana" / "dashboard.py"
    made = subprocess.run([sys.executable, maker], capture_output=True, text=True, check=True).stdout

    assert made == DASHBOARD.read_text()


def test_the_dashboard_goes_where_it_is_put() -> None:
    board = json.loads(DASHBOARD.read_text())
    sources = {json.dumps(panel["datasource"]) for panel in _panels() if "datasource" in panel}
    rates = {window for expression in IN_PANELS for window in re.findall(r"rate\([^[]*\[([^\]]+)\]", expression)}

    assert "zcode-proxy" == board["uid"]
    assert {'{"type": "prometheus", "uid": "${datasource}"}'} == sources
    assert {"$__rate_interval"} == rates
    assert len({panel["id"] for panel in _panels()}) == len(list(_panels()))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in _panels())


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_every_alert_has_a_grade_a_page_and_a_test_of_both_kinds(name: str) -> None:
    rule = ALERTS[name]
    cases = [case for test in TESTS["tests"] for case in test["alert_rule_test"] if case["alertname"] == name]

    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
    assert f"`{name}`" in page
    assert {True, False} == {bool(case["exp_alerts"]) for case in cases}


def test_every_page_is_about_an_alert_and_panels_link_to_pages() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")}
    linked = {link["url"].rpartition("/")[2] for panel in _panels() for link in panel.get("links", ())}

    assert pages == {Path(rule["annotations"]["runbook_url"]).stem for rule in ALERTS.values()}
    assert linked <= {f"{page}.md" for page in pages}
