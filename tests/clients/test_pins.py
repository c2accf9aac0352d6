"""What the clients' versions are: pinned, in one place, and the ones that the documentation names."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECLARED: dict[str, str] = json.loads((ROOT / "tests/clients/package.json").read_text())["dependencies"]
LOCK = json.loads((ROOT / "tests/clients/package-lock.json").read_text())
TITLES = {
    "@anthropic-ai/claude-code": "Claude Code",
    "@openai/codex": "Codex",
    "@qwen-code/qwen-code": "Qwen Code",
    "cline": "Cline",
    "opencode-ai": "OpenCode",
}
SDKS = ("anthropic", "openai")


def documented(title: str) -> str:
    """Return the version that the table of docs/clients.md says was tested."""
    row = re.compile(rf"^\| \[`?{title}`?[^]]*\]\([^)]*\) \|[^|]*\| ([\d.]+) \|", re.MULTILINE)
    match = row.search((ROOT / "docs/clients.md").read_text())
    assert match, f"docs/clients.md has no row for {title}"
    return match[1]


@pytest.mark.parametrize("package", DECLARED)
def test_an_npm_client_is_pinned_exactly_and_documented(package: str):
    version = DECLARED[package]

    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert LOCK["packages"][f"node_modules/{package}"]["version"] == version
    assert documented(TITLES[package]) == version


@pytest.mark.parametrize("package", SDKS)
def test_an_sdk_of_the_lock_is_the_documented_one(package: str):
    pin = re.search(rf"^{package}==([\d.]+)", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)

    assert pin
    assert documented(package) == pin[1]


def test_the_lock_holds_a_hash_for_every_package_and_names_no_registry():
    packages = {name: entry for name, entry in LOCK["packages"].items() if name}
    bare = {name for name, entry in packages.items() if "integrity" not in entry}

    assert packages
    assert not any("resolved" in entry for entry in packages.values())
    assert bare == set()
