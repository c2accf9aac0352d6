"""
Other releases of the services, to be run beside the present one.

    old = unpacked(RELEASED[0], tmp_path)         what was released, out of a wheel that is kept here
    next_ = tomorrow(tmp_path)                    the present one, with a field more in all that is kept or sent
    cluster.code = old                            processes that are started from now on run that

They run on the present one's dependencies. `make released` keeps a wheel of the present sources, at a release.
"""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
KEPT: Final = ROOT / "tests" / "system" / "upgrade" / "released"
RELEASED: Final = sorted(KEPT.glob("zcode_proxy-*.whl"))

# Where the structs are that one process writes and another reads.
SHARED: Final = (
    "captcha/contract.py",
    "credentials/admin_contract.py",
    "credentials/audit_chain.py",
    "credentials/backup.py",
    "credentials/client_keys.py",
    "credentials/contract.py",
    "credentials/envelope.py",
    "credentials/records.py",
    "credentials/replicas.py",
    "credentials/spool.py",
    "credentials/token_provider.py",
    "gateway/books/port.py",
    "gateway/quota.py",
)
_LATER: Final = '    later: str | None = msgspec.field(default_factory=lambda: "tomorrow")\n'
# A kind of secret that no login has yet: what a record is known by must not change with that.
_UNSET: Final = "    later: str | None = None\n"
_SECRETS: Final = {"Secrets"}
_KEYS: Final = {"UsageKey"}  # are no documents, but hashed: their fields are columns


def unpacked(wheel: Path, directory: Path) -> Path:
    """Return where the services of a wheel can be imported from."""
    target = directory / wheel.stem
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def tomorrow(directory: Path) -> Path:
    """Return where services can be imported from that write a field more into everything others read."""
    target = directory / "tomorrow"
    shutil.copytree(ROOT / "services", target / "services", ignore=shutil.ignore_patterns("__pycache__"))
    for name in SHARED:
        path = target / "services" / name
        path.write_text(_grown(path.read_text()))
    return target


def _grown(source: str) -> str:
    """Return a module whose structs each have one field more, which is always written."""
    lines = source.splitlines(keepends=True)
    structs = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
        and node.name not in _KEYS
        and "msgspec.Struct" in map(ast.unparse, node.bases)
    ]
    assert structs
    for node in reversed(structs):
        end = max(each.end_lineno or 0 for each in node.body if not isinstance(each, ast.FunctionDef))
        lines.insert(end, _UNSET if node.name in _SECRETS else _LATER)
    return "".join(lines)


def origin_of(code: Path) -> Path:
    """Return where a process that imports from there really has its services from."""
    program = "import services.credentials.contract as found; print(found.__file__)"
    environ = os.environ | {"PYTHONPATH": str(code)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, cwd=code, capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def keep() -> Path:
    """Build a wheel of the present sources into the place of released ones. The same sources make the same bytes."""
    KEPT.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(KEPT)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"SOURCE_DATE_EPOCH": "1767225600"}, check=True)
    return max(KEPT.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)


if __name__ == "__main__":
    print(keep())
