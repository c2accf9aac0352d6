"""Rung 6, a second reader: checkov over what every kind of installation renders; what it is not asked has its reason here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.rendering import render

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"
SKIPPED = {
    "CKV_K8S_11": "no limit on CPU: it would throttle streams; requests are set and memory is limited",
    "CKV_K8S_15": "imagePullPolicy IfNotPresent: tags of releases do not move, and a digest can be set",
    "CKV_K8S_43": "the digest of an image is the user's to pin (image.digest); a chart cannot know it before the build",
    "CKV_K8S_40": "uid 65532 is above 10000 and asked for by number; checkov reads the container's context only",
    "CKV_K8S_35": "secrets are files here; what it finds is store.urlSecret, a URL without a password",
    "CKV2_K8S_6": "every pod but the short-lived `helm test` ones is under a policy (test_security.py)",
    "CKV_K8S_8": "liveness of Jobs and test pods: they end by themselves; long-running ones are checked in test_security.py",
    "CKV_K8S_9": "readiness of Jobs and test pods, which nobody sends traffic to",
}


@pytest.mark.timeout(400)
@pytest.mark.promise("P-55")
def test_checkov_has_nothing_to_add(tmp_path: Path) -> None:
    for name in ("sidecar", "captcha", "credentials-deployment", "valkey-ephemeral", "jobs", "monitoring"):
        (tmp_path / f"{name}.yaml").write_text(render(name).text)
    command = [str(CHECKOV), "--framework", "kubernetes", "--skip-download", "--quiet", "--compact", "-o", "json"]
    environ = os.environ | {"LOG_LEVEL": "ERROR", "BC_API_KEY": ""}
    done = subprocess.run(
        [*command, "-d", str(tmp_path), "--skip-check", ",".join(SKIPPED)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)

    failed = {(each["check_id"], each["check_name"], each["resource"]) for each in report["results"]["failed_checks"]}
    assert set() == failed
    assert report["summary"]["passed"] > 300, f"it read something else: {report['summary']} {sys.executable}"


@pytest.mark.parametrize("check", SKIPPED)
def test_every_skip_has_a_reason(check: str) -> None:
    assert len(SKIPPED[check].split()) > 5
