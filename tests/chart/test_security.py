"""Rung 6: restricted Pod Security, and our own rules, over every container of every values file (P-55)."""

from typing import Any

import pytest

from tests.chart.rendering import CI, render

RESTRICTED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def restricted(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """Return what the restricted profile of Pod Security holds against a container."""
    spec, own = pod["spec"], container.get("securityContext", {})
    shared = spec.get("securityContext", {})
    either = shared | own
    faults = [name for name in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace") if spec.get(name)]
    faults += [
        f"volume {volume['name']}"
        for volume in spec.get("volumes", [])
        if not set(volume) - {"name"} <= RESTRICTED_VOLUMES
    ]
    faults += ["hostPort"] * any("hostPort" in port for port in container.get("ports", []))
    faults += ["privileged"] * bool(own.get("privileged"))
    faults += ["privilege escalation"] * (own.get("allowPrivilegeEscalation") is not False)
    faults += ["capabilities"] * (own.get("capabilities") != {"drop": ["ALL"]})
    faults += ["may run as root"] * (either.get("runAsNonRoot") is not True or either.get("runAsUser") == 0)
    faults += ["seccomp"] * (either.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"))
    return faults


def ours(pod: dict[str, Any], container: dict[str, Any]) -> list[str]:
    """Return what our own rules hold against a container."""
    spec, own = pod["spec"], container.get("securityContext", {})
    resources = container.get("resources", {})
    faults = ["writable root"] * (own.get("readOnlyRootFilesystem") is not True)
    faults += ["no uid and gid"] * (not {"runAsUser", "runAsGroup"} <= (spec["securityContext"] | own).keys())
    faults += ["token of the API"] * (spec.get("automountServiceAccountToken") is not False)
    faults += ["service links"] * (spec.get("enableServiceLinks") is not False)
    faults += ["no memory limit"] * ("memory" not in resources.get("limits", {}))
    faults += ["no requests"] * (not {"cpu", "memory"} <= resources.get("requests", {}).keys())
    faults += ["a limit on CPU throttles a stream"] * ("cpu" in resources.get("limits", {}))
    faults += [
        f"unbounded {volume['name']}"
        for volume in spec.get("volumes", [])
        if "sizeLimit" not in volume.get("emptyDir", {"sizeLimit": 1})
    ]
    faults += [f"secret in the environment: {each['name']}" for each in container.get("env", []) if _secret(each)]
    faults += ["a shell"] * any(
        "sh" in str(word).split("/") or "bash" in str(word) for word in container.get("command", [])
    )
    return faults


def _secret(variable: dict[str, Any]) -> bool:
    return "secretKeyRef" in variable.get("valueFrom", {}) and variable["name"] != "ZCODE_STORE_URL"


@pytest.mark.promise("P-55")
@pytest.mark.parametrize("name", CI)
def test_every_container_is_restricted(name: str) -> None:
    chart = render(name)
    faults = {
        f"{where}:{container['name']}": found
        for where, pod in chart.pods()
        for kind in ("initContainers", "containers")
        for container in pod["spec"].get(kind, [])
        if (found := restricted(pod, container) + ours(pod, container))
    }

    assert {} == faults
    assert list(chart.containers())


@pytest.mark.promise("P-55")
@pytest.mark.parametrize("name", CI)
def test_long_running_containers_are_probed(name: str) -> None:
    for where, container in render(name).containers():
        if where.startswith(("Deployment", "StatefulSet")):
            assert {"livenessProbe", "readinessProbe"} <= container.keys(), where
            if container["name"] in ("gateway", "credentials", "captcha"):
                assert "/livez" == container["livenessProbe"]["httpGet"]["path"]
                assert "/readyz" == container["readinessProbe"]["httpGet"]["path"]
                assert container["startupProbe"]


@pytest.mark.parametrize("name", [name for name in CI if name != "key-only"])
def test_every_pod_of_ours_is_under_a_policy_that_lets_it_resolve_names(name: str) -> None:
    chart = render(name)
    policies = chart.all("NetworkPolicy")
    for where, pod in chart.pods():
        labels = pod["metadata"]["labels"]
        if labels["app.kubernetes.io/component"] == "tests":
            continue
        own = [each for each in policies if each["spec"]["podSelector"]["matchLabels"].items() <= labels.items()]
        assert 1 == len(own), where
        assert {"Ingress", "Egress"} == set(own[0]["spec"]["policyTypes"])
        egress = own[0]["spec"].get("egress", [])
        if egress:
            assert {("UDP", 53), ("TCP", 53)} <= {
                (port["protocol"], port["port"]) for rule in egress for port in rule.get("ports", [])
            }


def test_an_image_may_be_pinned_by_its_digest() -> None:
    image = render("everything-extra").one("Deployment", "-gateway")["spec"]["template"]["spec"]["containers"][0][
        "image"
    ]

    assert image.startswith("registry.example.org/zcode-proxy:0.1.0@sha256:")


def test_the_judge_sees_what_it_should() -> None:
    pod = {
        "spec": {
            "containers": [{"name": "x"}],
            "hostNetwork": True,
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}],
        }
    }

    assert {"hostNetwork", "volume v", "privilege escalation", "capabilities", "may run as root", "seccomp"} <= set(
        restricted(pod, pod["spec"]["containers"][0])
    )
