"""The image: small, complete in its bill of materials, started by nobody but us, and quick (P-56)."""

import gzip
import hashlib
import json
import re
import tarfile
import time
from pathlib import Path

import httpx2
import pytest

from tests.chart.containers.conftest import Engine
from tests.chart.engine import IMAGE, ROOT, built
from tests.chart.kubelet import Kubelet

PYTHON = "/opt/zcode-proxy/bin/python"
EPOCH = 1767225600  # SOURCE_DATE_EPOCH of the Dockerfile
LARGEST = 150 * 1024 * 1024


def _in_image(node: Kubelet, *command: str) -> str:
    return node.client.containers.run(
        IMAGE, list(command), entrypoint="", remove=True, network_mode="none", read_only=True
    ).decode()


def test_it_runs_as_nobody_and_says_what_it_is(node: Kubelet) -> None:
    config = node.client.images.get(IMAGE).attrs["Config"]

    assert "65532:65532" == config["User"]
    assert "MIT" == config["Labels"]["org.opencontainers.image.licenses"]
    assert re.fullmatch("[0-9a-f]{40}", config["Labels"]["org.opencontainers.image.revision"])
    assert "SIGTERM" == config["StopSignal"]


def test_it_is_small(node: Kubelet) -> None:
    packer, size = gzip.compress, 0
    for chunk in node.client.images.get(IMAGE).save(chunk_size=8 * 1024 * 1024):
        size += len(packer(chunk, compresslevel=1))

    assert size < LARGEST, f"{size / 1e6:.0f} MB"


@pytest.mark.promise("P-56")
def test_the_bill_of_materials_lists_every_distribution_and_no_other(node: Kubelet) -> None:
    listing = "from importlib.metadata import distributions as d\nfor x in d(): print(x.metadata['Name'].lower().replace('_', '-').replace('.', '-'), x.version)"
    installed = {tuple(line.split()) for line in _in_image(node, PYTHON, "-I", "-c", listing).splitlines()}
    document = json.loads(_in_image(node, "cat", "/opt/zcode-proxy/sbom.cdx.json"))

    listed = {(each["name"], each["version"]) for each in document["components"]}
    assert installed == listed
    assert "zcode-proxy" == document["metadata"]["component"]["name"]
    locked = set(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert {each for each in listed if each[0] != "zcode-proxy"} <= locked, "something is installed that no lock names"


@pytest.mark.promise("P-56")
def test_nothing_runs_at_the_start_of_the_interpreter_but_itself(node: Kubelet) -> None:
    assert "" == _in_image(node, "find", "/opt/zcode-proxy", "-name", "*.pth")
    assert "" == _in_image(node, "find", "/opt/zcode-proxy", "-name", "sitecustomize*", "-o", "-name", "usercustomize*")
    assert "" == _in_image(node, "find", "/opt/zcode-proxy", "-name", "pip", "-o", "-name", "setuptools")
    assert "" == _in_image(node, "find", "/opt/zcode-proxy", "-perm", "/6000")


@pytest.mark.promise("P-56")
def test_the_same_tree_gives_the_same_bits_at_another_time(
    node: Kubelet, running_engine: Engine, tmp_path: Path
) -> None:
    """Everything is installed, compiled and listed anew; the layer that we make is compared entry by entry, then whole."""
    again = built(node.client, running_engine.address, f"{IMAGE}-again", fresh=True)
    first, second = (_own_layer(node, name, tmp_path / str(at)) for at, name in enumerate((IMAGE, again)))

    assert {} == {
        name: (first.get(name), second.get(name))
        for name in first.keys() | second.keys()
        if first.get(name) != second.get(name)
    }
    assert node.client.images.get(IMAGE).attrs["RootFS"] == node.client.images.get(again).attrs["RootFS"]
    assert {"opt", "opt/zcode-proxy"} == {"/".join(name.split("/")[:2]) for name in first}, "no cache, no log"
    assert any(name.endswith(".pyc") for name in first)
    assert {EPOCH} == {entry[-1] for name, entry in first.items() if name.startswith("opt/zcode-proxy")}


def _own_layer(node: Kubelet, name: str, file: Path) -> dict[str, tuple[object, ...]]:
    """Return type, mode, owner, link, hash and time of everything in the topmost layer."""
    with file.open("wb") as sink:
        sink.writelines(node.client.images.get(name).save(chunk_size=8 * 1024 * 1024))
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(file) as image:
        manifest = image.extractfile("manifest.json")
        assert manifest is not None
        layer = image.extractfile(json.load(manifest)[0]["Layers"][-1])
        with tarfile.open(fileobj=layer) as entries:
            for entry in entries:
                content = entries.extractfile(entry) if entry.isreg() else None
                digest = "" if content is None else hashlib.sha256(content.read()).hexdigest()
                found[entry.name] = (entry.type, entry.mode, entry.uid, entry.gid, entry.linkname, digest, entry.mtime)
    return found


def test_it_is_well_soon_after_its_start(node: Kubelet) -> None:
    environ = {"ZCODE_API_KEY": "a.b", "ZCODE_PROXY_API_KEY": "a-client-key"}
    began = time.monotonic()
    container = node.client.containers.run(IMAGE, ["gateway"], environment=environ, detach=True, read_only=True)
    try:
        container.reload()
        address = container.attrs["NetworkSettings"]["IPAddress"]
        while True:
            try:
                if httpx2.get(f"http://{address}:9090/readyz", timeout=1, trust_env=False).status_code == 200:
                    break
            except httpx2.HTTPError:
                pass
            assert time.monotonic() - began < 30, container.logs().decode()
            time.sleep(0.02)
        print(f"ready after {time.monotonic() - began:.2f} s")
    finally:
        container.remove(force=True)
