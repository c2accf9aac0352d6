"""What the image is made from: a wheel that is the same at any time, and a bill of materials that nothing hides from."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EPOCH = "1767225600"  # SOURCE_DATE_EPOCH of the Dockerfile


def wheel(directory: Path, **environ: str) -> str:
    """Build our wheel and return its hash."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(words, cwd=ROOT, env=os.environ | environ, check=True, capture_output=True, timeout=60)
    (made,) = directory.glob("*.whl")
    return hashlib.sha256(made.read_bytes()).hexdigest()


@pytest.mark.promise("P-56")
def test_the_wheel_is_the_same_wherever_and_whenever_it_is_built(tmp_path: Path) -> None:
    first = wheel(tmp_path / "1", SOURCE_DATE_EPOCH=EPOCH, TZ="UTC", PYTHONHASHSEED="1")
    second = wheel(tmp_path / "2", SOURCE_DATE_EPOCH=EPOCH, TZ="Asia/Shanghai", PYTHONHASHSEED="2", LC_ALL="C")

    assert first == second
    assert first != wheel(tmp_path / "3", SOURCE_DATE_EPOCH="1767225602"), "the test would see a time"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment with two distributions; returns where they lie."""
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    for name, version, licence in (("Zope.Thing", "1.0", "MIT"), ("zcode_proxy", "0.1.0", "MIT")):
        directory = site / f"{name}-{version}.dist-info"
        directory.mkdir()
        text = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n"
        (directory / "METADATA").write_text(text)
        (directory / "RECORD").write_text(f"{name}/__init__.py,,\n")
    return site


def bill(site: Path) -> "subprocess.CompletedProcess[str]":
    python = site.parents[2] / "bin" / "python"
    command = [str(python), "-I", str(ROOT / "deploy" / "sbom.py")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.promise("P-56")
def test_the_bill_of_materials_lists_everything_and_is_the_same_every_time(environment: Path) -> None:
    first, second = bill(environment), bill(environment)
    document = json.loads(first.stdout)

    assert (first.returncode, first.stdout) == (0, second.stdout)
    assert ["pkg:pypi/zcode-proxy@0.1.0", "pkg:pypi/zope-thing@1.0"] == [
        each["purl"] for each in document["components"]
    ]
    assert document["metadata"]["component"]["name"] == "zcode-proxy"


@pytest.mark.promise("P-56")
def test_what_would_run_at_every_start_is_refused(environment: Path) -> None:
    (environment / "helper.pth").write_text("import os\n")
    done = bill(environment)

    assert (done.returncode, done.stdout) == (1, "")
    assert "not expected in an image: helper.pth" in done.stderr
