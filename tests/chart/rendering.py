"""
Renders the chart as helm does, and finds what tests ask about in the result.

    chart = render("sidecar")                       ci/sidecar-values.yaml on the newest Kubernetes
    chart = render("sidecar", sets={"gateway": {"replicas": 3}}, kube="1.29")
    chart.one("Deployment", "gateway")
"""

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.chart.tools import helm

CHART = Path(__file__).parents[2] / "helm" / "zcode-proxy"
CI = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
OLD, MIDDLE, NEW = "1.29.0", "1.32.0", "1.37.0"
APIS = ("monitoring.coreos.com/v1", "keda.sh/v1alpha1", "gateway.networking.k8s.io/v1")
RELEASE, NAMESPACE = "rel", "apps"
ROOT_OF_SECRETS = "/run/secrets/"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Refused(Exception):
    """Helm would not render; the text is what a user reads."""


class Rendered:
    """What one rendering gave."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[dict[str, Any]] = [each for each in yaml.load_all(text, _LOADER) if each]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, ending: str = "") -> dict[str, Any]:
        found = [each for each in self.all(kind) if each["metadata"]["name"].endswith(ending)]
        assert len(found) == 1, f"{kind} …{ending}: {[each['metadata']['name'] for each in self.all(kind)]}"
        return found[0]

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every pod template and pod, with the name of its object."""
        for each in self.objects:
            name = f"{each['kind']}/{each['metadata']['name']}"
            if each["kind"] == "Pod":
                yield name, each
            elif each["kind"] == "CronJob":
                yield name, each["spec"]["jobTemplate"]["spec"]["template"]
            elif "template" in each.get("spec", {}):
                yield name, each["spec"]["template"]

    def containers(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every container of every pod: ordinary, init and sidecar ones."""
        for name, pod in self.pods():
            for kind in ("initContainers", "containers"):
                for container in pod["spec"].get(kind, []):
                    yield f"{name}:{container['name']}", container


def values_of(name: str) -> dict[str, Any]:
    """Return a file of ci/."""
    return yaml.safe_load((CHART / "ci" / f"{name}-values.yaml").read_text()) or {}


def run_helm(arguments: Sequence[str], stdin: str = "") -> str:
    """Run helm, away from the user's own settings. Raises Refused."""
    with tempfile.TemporaryDirectory() as home:
        environ = {"PATH": os.environ["PATH"], "HOME": home, "HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home}
        done = subprocess.run(
            [helm(), *arguments], input=stdin, capture_output=True, text=True, env=environ, check=False
        )
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def template(
    values: Mapping[str, Any], *, kube: str = NEW, apis: Sequence[str] = (), release: str = RELEASE, chart: Path = CHART
) -> str:
    """Return what `helm template` prints for these values."""
    options = [option for api in apis for option in ("--api-versions", api)]
    return run_helm(
        ["template", release, str(chart), "--namespace", NAMESPACE, "--kube-version", kube, *options, "-f", "-"],
        json.dumps(values),
    )


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return `more` over `base`, as helm lays one values file over another."""
    result = dict(base)
    for key, value in more.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


@functools.cache
def _rendered(name: str, sets: str, kube: str, apis: tuple[str, ...], release: str) -> Rendered:
    values = merged(values_of(name), json.loads(sets))
    return Rendered(template(values, kube=kube, apis=apis, release=release))


def render(
    name: str,
    sets: Mapping[str, Any] | None = None,
    *,
    kube: str = NEW,
    apis: Sequence[str] = APIS,
    release: str = RELEASE,
) -> Rendered:
    """Return a rendered file of ci/; the same question is asked of helm once only."""
    return _rendered(name, json.dumps(sets or {}, sort_keys=True), kube, tuple(apis), release)
