"""Prometheus's own tool takes the rules, and says of every alert when it fires and when it does not."""

import copy
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.rules.test_names import IN_PANELS, RULES, TESTS

HERE = Path(__file__).parent
FILE = HERE.parents[1] / "helm" / "zcode-proxy" / "alerts" / "zcode.rules.yaml"


def _promtool(*argv: str) -> str:
    done = subprocess.run(["promtool", *argv], capture_output=True, text=True, timeout=100, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules() -> None:
    assert f"{sum(len(group['rules']) for group in RULES['groups'])} rules found" in _promtool(
        "check", "rules", str(FILE)
    )


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    _promtool("test", "rules", str(HERE / "zcode.test.yaml"))


def test_every_panel_asks_what_prometheus_understands(tmp_path: Path) -> None:
    expressions = [text.replace("$__rate_interval", "5m").replace("$namespace", ".*") for text in IN_PANELS]
    rules = [f"  - record: panel:{at}\n    expr: {text!r}\n" for at, text in enumerate(expressions)]
    (tmp_path / "panels.yaml").write_text("groups:\n- name: panels\n  rules:\n" + "".join(rules).replace("\\'", "''"))

    _promtool("check", "rules", str(tmp_path / "panels.yaml"))


def test_a_wrong_expectation_is_noticed(tmp_path: Path) -> None:
    case = copy.deepcopy(TESTS["tests"][0])
    case["alert_rule_test"][0]["exp_alerts"][0]["exp_annotations"]["summary"] = "21% of the requests fail"
    wrong = {"rule_files": [str(FILE)], "tests": [case]}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))

    with pytest.raises(AssertionError, match="FAILED"):
        _promtool("test", "rules", str(tmp_path / "wrong.yaml"))
