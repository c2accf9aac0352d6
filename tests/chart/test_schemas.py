"""Rung 5: what an API server would say: schema of every object, and that names lead to something."""

from typing import Any

import kubernetes_validate
import pytest

from tests.chart import crds
from tests.chart.rendering import CI, NEW, OLD, Rendered, render

# Secrets and ConfigMaps that a user brings along, by values file.
FOREIGN = ("zcode-", "ours", "more", "llm-tls")
KUBERNETES = ("ConfigMap", "kube-root-ca.crt")  # which every namespace has


@pytest.mark.parametrize("kube", [OLD, "1.31.0", "1.34.0", NEW])
@pytest.mark.parametrize("name", CI)
def test_every_object_is_one_that_kubernetes_takes(name: str, kube: str) -> None:
    for each in render(name, kube=kube if kube in (OLD, NEW) else NEW).objects:
        if not crds.judge(each):
            # An unknown kind raises here too; the package's own command line would only warn.
            kubernetes_validate.validate(each, kube.removesuffix(".0"), strict=True)


@pytest.mark.parametrize("name", CI)
def test_selectors_find_their_pods(name: str) -> None:
    chart = render(name)
    labels = [pod["metadata"].get("labels", {}) for _, pod in chart.pods()]
    for each in chart.objects:
        spec = each.get("spec", {})
        selector = (
            spec.get("selector")
            if each["kind"] == "Service"
            else (spec.get("selector") or spec.get("podSelector") or {}).get("matchLabels")
        )
        if selector and each["kind"] != "ServiceMonitor":
            assert any(selector.items() <= found.items() for found in labels), (
                f"{each['kind']} {each['metadata']['name']}"
            )
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert selector is not None
            assert selector.items() <= spec["template"]["metadata"]["labels"].items()
            assert "app.kubernetes.io/version" not in selector


@pytest.mark.parametrize("name", CI)
def test_named_ports_exist(name: str) -> None:
    chart = render(name)
    for service in chart.all("Service"):
        ports = _ports(chart, service["spec"]["selector"])
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, service["metadata"]["name"]
    for monitor in chart.all("ServiceMonitor"):
        wanted = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        services = [
            each
            for each in chart.all("Service")
            if each["metadata"]["labels"].items() >= monitor["spec"]["selector"]["matchLabels"].items()
        ]
        assert wanted <= {port["name"] for service in services for port in service["spec"]["ports"]}
    for monitor in chart.all("PodMonitor"):
        wanted = {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        assert wanted <= _ports(chart, monitor["spec"]["selector"]["matchLabels"])
    for policy in chart.all("NetworkPolicy"):
        own = _ports(chart, policy["spec"]["podSelector"]["matchLabels"])
        wanted = {port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]}
        assert wanted <= own, policy["metadata"]["name"]


def _ports(chart: Rendered, selector: dict[str, str]) -> set[str]:
    return {
        port["name"]
        for _, pod in chart.pods()
        if selector.items() <= pod["metadata"].get("labels", {}).items()
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind, [])
        for port in container.get("ports", [])
    }


@pytest.mark.parametrize("name", CI)
def test_every_mount_has_its_volume_and_every_volume_its_use(name: str) -> None:
    for where, pod in render(name).pods():
        spec = pod["spec"]
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        containers = spec.get("initContainers", []) + spec["containers"]
        mounts = {mount["name"] for container in containers for mount in container.get("volumeMounts", [])}
        if where.startswith("StatefulSet") and "data" not in volumes:
            volumes.append("data")  # from the claim's template
        assert len(volumes) == len(set(volumes)), where
        assert mounts == set(volumes), where
        for container in containers:
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths)), f"{where}:{container['name']}"


@pytest.mark.parametrize("name", CI)
def test_what_pods_refer_to_is_in_the_chart_or_the_users(name: str) -> None:
    chart = render(name)
    made = {(each["kind"], each["metadata"]["name"]) for each in chart.objects} | {KUBERNETES}
    made |= {("Secret", each["spec"]["secretName"]) for each in chart.all("Certificate")}
    for where, pod in chart.pods():
        account = pod["spec"].get("serviceAccountName", "ours")
        assert ("ServiceAccount", account) in made or account in ("ours", "default"), where
        for kind, referred in _references(pod["spec"]):
            assert (kind, referred) in made or referred.startswith(FOREIGN), f"{where}: {kind} {referred}"


def _references(spec: Any) -> list[tuple[str, str]]:
    """Return the ConfigMaps and Secrets that a pod spec names, wherever they stand."""
    found = []
    if isinstance(spec, dict):
        for key, value in spec.items():
            if key in ("configMap", "configMapRef", "configMapKeyRef"):
                found.append(("ConfigMap", value["name"]))
            elif key in ("secretRef", "secretKeyRef"):
                found.append(("Secret", value["name"]))
            elif key == "secretName":
                found.append(("Secret", value))
            found += _references(value)
    elif isinstance(spec, list):
        found += [each for value in spec for each in _references(value)]
    return found


@pytest.mark.parametrize("name", CI)
def test_names_are_unique_and_short_enough_for_a_dns_label(name: str) -> None:
    objects = render(name, release="a-release-with-a-name-that-is-as-long-as-helm-allows").objects
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]

    assert len(names) == len(set(names))
    assert [] == [each for _, each in names if len(each) > 63 or each.endswith("-")]
    # A CronJob's name is lengthened by 11 for its jobs.
    assert [] == [each for kind, each in names if kind == "CronJob" and len(each) > 52]


def test_an_unknown_kind_is_not_waved_through() -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        kubernetes_validate.validate({"apiVersion": "example.org/v1", "kind": "Gadget"}, "1.37", strict=True)
