"""What runs at a release: pinned by commit, few rights, and nothing is published before what it installs was asked about."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yaml"))
LOCKS = {"requirements.lock", "deploy/build.lock"}  # what the Dockerfile installs from


def load(name: str) -> Any:
    return yaml.safe_load(next(path for path in WORKFLOWS if path.name == name).read_text())


@pytest.mark.promise("P-56")
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_rights_are_given_one_by_one(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    used = re.findall(r"uses: (\S+)", path.read_text())

    assert used
    assert [] == [each for each in used if not re.fullmatch(r"\./\S+|[\w.-]+/[\w./-]+@[0-9a-f]{40}", each)]
    assert {} == workflow["permissions"]
    assert all(job["permissions"] for job in workflow["jobs"].values())


@pytest.mark.promise("P-56")
def test_nothing_is_published_before_its_parts_were_asked_about() -> None:
    release = load("release.yaml")["jobs"]
    (step,) = [each for each in load("audit.yaml")["jobs"]["audit"]["steps"] if "run" in each]
    dockerfile = (Path(__file__).parents[2] / "deploy" / "Dockerfile").read_text()

    assert "./.github/workflows/audit.yaml" == release["audit"]["uses"]
    assert "audit" == release["publish"]["needs"]
    assert "secrets" not in release["audit"]
    assert "pip-audit --strict " in step["run"]
    assert "--require-hashes --only-binary :all: -r deploy/audit.lock" in step["run"]
    assert LOCKS == set(re.findall(r"[\w./-]+\.lock", step["run"])) - {"deploy/audit.lock"}
    assert {Path(lock).name for lock in LOCKS} == set(re.findall(r"-r (\S+\.lock)", dockerfile))
