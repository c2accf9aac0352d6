"""
Writes what an environment holds as CycloneDX 1.6 JSON on standard output: every distribution installed, nothing else.

Run by the interpreter of that environment, at the build of the image. It reads no clock and asks no network, so that
the same packages give the same bytes. A `.pth` file, which Python would run at every start, is an error here
(promises.md T36): none of what we install needs one.
"""

import hashlib
import json
import sys
import sysconfig
import uuid
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

ROOT = "zcode-proxy"


def name_of(distribution: Distribution) -> str:
    """Return the normalised name."""
    return distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")


def licence_of(distribution: Distribution) -> list[dict[str, Any]]:
    """Return the licence as the distribution states it, an SPDX expression where there is one."""
    metadata = distribution.metadata
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    classified = [line.rsplit(" :: ", 1)[1] for line in metadata.get_all("Classifier") or [] if "License ::" in line]
    return [{"license": {"name": name}} for name in classified]


def component(distribution: Distribution) -> dict[str, Any]:
    """Describe one distribution; the hash is of its RECORD, which holds the hash of each of its files."""
    name, version = name_of(distribution), distribution.version
    reference = f"pkg:pypi/{name}@{version}"
    record = distribution.read_text("RECORD") or ""
    return {
        "type": "application" if name == ROOT else "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "purl": reference,
        "licenses": licence_of(distribution),
        "properties": [{"name": "zcode-proxy:record-sha256", "value": hashlib.sha256(record.encode()).hexdigest()}],
    }


def document(found: list[Distribution]) -> dict[str, Any]:
    """Return the bill of materials of these distributions."""
    components = sorted((component(each) for each in found), key=lambda each: str(each["bom-ref"]))
    own = next((each for each in components if each["name"] == ROOT), None)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(str(each["bom-ref"]) for each in components))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity}",
        "version": 1,
        "metadata": {"component": own} if own else {},
        "components": components,
    }


def start_files() -> list[str]:
    """Return the files that Python would run at every start."""
    return sorted(path.name for path in Path(sysconfig.get_path("purelib")).glob("*.pth"))


def main() -> int:
    """Write the document; 1 with a complaint when something would run at every start."""
    if unexpected := start_files():
        sys.stderr.write(f"not expected in an image: {', '.join(unexpected)}\n")
        return 1
    json.dump(document(list(distributions())), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
