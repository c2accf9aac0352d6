"""The rules of the house, for every file that git tracks: sizes, names, places, and what may not be written down."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
FORBIDDEN_NAMES = {"common", "utils", "util", "helpers", "helper", "manager", "misc"}

# Rooms whose files are proven by a unit test of their own, file for file.
PURE = (
    "services/gateway/wire/",
    "services/gateway/translation/",
    "services/gateway/dialect.py",
    "services/gateway/routing.py",
    "services/gateway/providers.py",
    "services/gateway/catalogue.py",
    "services/gateway/identity.py",
    "services/gateway/mutations.py",
    "services/gateway/usage.py",
    "services/gateway/quota.py",
    "services/gateway/conversion.py",
    "services/gateway/preparation.py",
    "services/gateway/retries.py",
    "services/gateway/cors.py",
    "services/chassis/sealing.py",
    "services/chassis/peer/proof.py",
    "services/chassis/peer/settings.py",
    "services/credentials/keyring.py",
    "services/credentials/envelope.py",
    "services/credentials/records.py",
    "services/credentials/rotation_plan.py",
    "services/credentials/key_format.py",
    "services/credentials/audit_chain.py",
    "services/credentials/refresh.py",
    "services/credentials/findings.py",
    "services/credentials/schedule.py",
    "services/credentials/leases.py",
    "services/credentials/token_provider.py",
    "services/captcha/policy.py",
    "services/captcha/jwt_claims.py",
    "services/captcha/page/headers.py",
    "services/credentials/oauth/vendors.py",
    "services/credentials/oauth/answers.py",
    "services/credentials/oauth/exchange.py",
    "services/credentials/oauth/callback.py",
    "services/credentials/oauth/flows.py",
    "services/credentials/oauth/resolution.py",
    "services/credentials/oauth/renewal.py",
    "services/credentials/seed_file.py",
)
# Only names and types: nothing to run.
NOTHING_TO_RUN = {
    "services/gateway/dialect.py",
    "services/gateway/wire/formats.py",
    "services/gateway/translation/context.py",
    "services/gateway/translation/fault.py",
    "services/gateway/translation/refusal.py",
    "services/gateway/translation/streams/events.py",
    "services/gateway/translation/streams/faults.py",
}


def _tracked(pattern: str) -> list[str]:
    listing = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.splitlines() if (ROOT / name).exists()]


SOURCES = _tracked("services/*.py")


@pytest.mark.parametrize("name", _tracked("*.py"))
def test_no_file_is_longer_than_a_person_reads_at_once(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("name", SOURCES)
def test_no_function_is_longer_than_a_screen(name: str) -> None:
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]

    assert [] == long


def test_no_room_is_named_for_nothing() -> None:
    assert [] == [name for name in SOURCES if FORBIDDEN_NAMES & set(re.split(r"[/_.]", name))]


@pytest.mark.parametrize("name", [name for name in SOURCES if name.startswith(PURE) and name not in NOTHING_TO_RUN])
def test_every_pure_file_has_a_test_of_its_own(name: str) -> None:
    source = Path(name)
    if source.name == "__init__.py":
        body = ast.parse((ROOT / name).read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), "an __init__.py holds a docstring at most"
        return
    mirror = ROOT / "tests" / "unit" / source.relative_to("services").parent / f"test_{source.name}"

    assert mirror.exists(), f"{mirror.relative_to(ROOT)} is missing"


def test_no_file_names_a_machine_or_a_registry() -> None:
    """The words are put together here, so that this file does not hold them."""
    words = [
        "/root" + "/",
        "/work" + "/main",
        "pypi" + ".org",
        "files." + "pythonhosted",
        "registry." + "npmjs",
        "deb." + "debian.org",
    ]
    found = []
    for name in _tracked("*"):
        path = ROOT / name
        if path.suffix in {".png", ".gz"}:
            continue
        text = path.read_text(errors="replace")
        found += [f"{name}: {word}" for word in words if word in text]

    assert [] == found


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    marks = re.compile(r"pytest\.(mark\.)?(skip|skipif|xfail|importorskip)\b")

    assert [] == [
        name
        for name in _tracked("tests/*.py")
        if name != "tests/unit/test_house.py" and marks.search((ROOT / name).read_text())
    ]
