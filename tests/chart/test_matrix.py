"""Rung 2: every values file on every Kubernetes, with and without the operators' kinds; twice, with the same result."""

import pytest

from tests.chart.rendering import APIS, CHART, CI, MIDDLE, NEW, OLD, Refused, render, template, values_of

BEFORE_SIDECARS = "1.28.0"
FORCED = ("httproute", "keda", "monitoring", "podmonitor")


@pytest.mark.parametrize("kube", [OLD, MIDDLE, NEW])
@pytest.mark.parametrize("name", CI)
def test_every_feature_renders_on_every_kubernetes(name: str, kube: str) -> None:
    assert render(name, kube=kube).objects


@pytest.mark.parametrize("name", CI)
def test_rendering_twice_gives_the_same(name: str) -> None:
    assert render(name).text == template(values_of(name), apis=APIS)


@pytest.mark.parametrize("name", CI)
def test_without_the_operators_nothing_asks_for_them(name: str) -> None:
    groups = {each["apiVersion"].rpartition("/")[0] for each in render(name, apis=()).objects}

    forced = groups & {"monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io"}
    assert not forced or name in FORCED


def test_a_cluster_without_native_sidecars_is_told_the_switch() -> None:
    with pytest.raises(Refused, match=r"credentials\.nativeSidecar=false"):
        render("sidecar", kube=BEFORE_SIDECARS)


def test_the_switch_makes_the_sidecar_an_ordinary_container() -> None:
    spec = render("old-cluster", kube="1.25.0").one("Deployment", "-gateway")["spec"]["template"]["spec"]

    assert ["gateway", "credentials"] == [container["name"] for container in spec["containers"]]
    assert "initContainers" not in spec


def test_a_kubernetes_that_is_too_old_is_refused() -> None:
    with pytest.raises(Refused, match="kubeVersion"):
        render("key-only", kube="1.24.0")


def test_no_template_makes_up_a_secret() -> None:
    """Randomness and look-ups give another result at every render; a Secret of the chart's would be replaced."""
    for path in (CHART / "templates").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "kind: Secret" not in text
            assert not [
                word
                for word in ("rand", "genCA", "genSigned", "lookup", "uuidv4", "now")
                if f" {word}" in text.replace("{{", "{{ ") and f"{{{{ {word}" in text
            ]
