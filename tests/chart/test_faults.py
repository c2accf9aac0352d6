"""Rung 3: values that contradict each other are refused with the way out, and the chart is a good subchart."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, NEW, Refused, Rendered, render, run_helm, template

SECRET = {"keyring": {"existingSecret": "k"}, "store": {"url": "redis://r:6379"}}

DEPLOYMENT = SECRET | {"credentials": {"mode": "deployment"}, "internalTls": {"credentialsSecret": "t"}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"store": {"url": "redis://r:6379"}}, "keyring.existingSecret is missing"),
        ({"keyring": {"existingSecret": "k"}}, "store.url is missing"),
        (SECRET | {"keyring": {"existingSecret": "k", "persistentVolumeClaim": "c"}}, "are both set; keep one"),
        (SECRET | {"valkey": {"enabled": True, "usersSecret": "u"}}, "name two stores"),
        ({"keyring": {"existingSecret": "k"}, "valkey": {"enabled": True}}, "valkey.usersSecret is missing"),
        (SECRET | {"store": {"url": "redis://u:p@r:6379"}}, "store.url holds a password"),
        (SECRET | {"store": {"url": "redis://r", "urlSecret": {"name": "s"}}}, "store.urlSecret.name are both set"),
        ({"credentials": {"mode": "none"}, "clientKey": {"existingSecret": "c"}}, "set upstream.existingSecret"),
        ({"credentials": {"mode": "none"}, "upstream": {"existingSecret": "u"}}, "set clientKey.existingSecret"),
        (DEPLOYMENT | {"internalAuth": {"mode": "token"}}, "internalToken.existingSecret is missing"),
        (DEPLOYMENT | {"internalTls": {}}, "internalTls.credentialsSecret is missing"),
        (SECRET | {"captcha": {"enabled": True}}, "internalTls.captchaSecret is missing"),
        (
            DEPLOYMENT | {"internalTls": {"certManager": {"enabled": True}}},
            "internalTls.certManager.issuerRef.name is missing",
        ),
        (DEPLOYMENT | {"gateway": {"serviceAccount": {"create": False}}}, "gateway.serviceAccount: with internalAuth"),
        (DEPLOYMENT | {"internalAuth": {"jwks": {"url": "https://i/keys"}}}, "internalAuth.issuer is missing"),
        (DEPLOYMENT | {"internalAuth": {"jwks": {"configMap": "c"}}}, "internalAuth.issuer is missing"),
        (
            DEPLOYMENT | {"internalAuth": {"issuer": "i", "jwks": {"url": "https://i/keys", "configMap": "c"}}},
            "internalAuth.jwks.configMap are both set",
        ),
        (DEPLOYMENT | {"internalAuth": {"issuer": "i", "jwks": {"url": "http://i/keys"}}}, "must begin with https://"),
        (DEPLOYMENT | {"internalAuth": {"expirationSeconds": 300}}, "expirationSeconds"),
        (DEPLOYMENT | {"internalAuth": {"expirationSeconds": 86400}}, "expirationSeconds"),
        (
            SECRET | {"captcha": {"enabled": True}, "internalTls": {"captchaSecret": "t"}},
            "captcha.keySecret.name is missing",
        ),
        (
            {
                "credentials": {"mode": "none"},
                "upstream": {"existingSecret": "u"},
                "clientKey": {"existingSecret": "c"},
                "captcha": {"enabled": True},
            },
            "captcha.enabled needs the credentials service",
        ),
        (
            SECRET | {"gateway": {"autoscaling": {"enabled": True}, "keda": {"enabled": True, "triggers": [{}]}}},
            "keep one",
        ),
        (SECRET | {"gateway": {"autoscaling": {"enabled": True, "targetStreams": 0, "targetCPU": 0}}}, "has no target"),
        (SECRET | {"gateway": {"keda": {"enabled": True}}}, "keda.triggers is empty"),
        (
            SECRET | {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "scrape everything twice",
        ),
        (SECRET | {"httpRoute": {"enabled": True}}, "httpRoute.parentRefs is empty"),
        (SECRET | {"ingress": {"enabled": True}}, "ingress.hosts is empty"),
        (SECRET | {"backup": {"enabled": True}}, "backup.persistentVolumeClaim is missing"),
        (SECRET | {"config": {"limits": {"drain": 5}}}, "set by gateway.drainSeconds"),
        (SECRET | {"image": {"registry": "https://r"}}, "without http"),
        (
            {
                "credentials": {"mode": "none"},
                "upstream": {"existingSecret": "u"},
                "clientKey": {"existingSecret": "c"},
                "backup": {"enabled": True, "persistentVolumeClaim": "b"},
            },
            "there is none",
        ),
        # The schema's own refusals: a misspelt key, a wrong kind, a word that is none of the choices.
        (SECRET | {"gatewya": {}}, "gatewya"),
        (SECRET | {"gateway": {"replica": 3}}, "replica"),
        (SECRET | {"gateway": {"replicas": "three"}}, "replicas"),
        (SECRET | {"credentials": {"mode": "pod"}}, "mode"),
        (SECRET | {"store": {"password": "hunter2"}}, "password"),
        (SECRET | {"gateway": {"drainSeconds": 0}}, "drainSeconds"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(values: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        template(values)

    assert words in str(refused.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        template({"ingress": {"enabled": True}, "backup": {"enabled": True}})

    assert sum(f"- {name}" in str(refused.value) for name in ("keyring", "store", "ingress", "backup")) == 4


def _umbrella(directory: Path, values: dict[str, Any]) -> Rendered:
    chart = {
        "apiVersion": "v2",
        "name": "umbrella",
        "version": "1.0.0",
        "dependencies": [
            {"name": "zcode-proxy", "version": "*", "repository": f"file://{CHART}", "condition": "zcode-proxy.enabled"}
        ],
    }
    (directory / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (directory / "values.yaml").write_text(yaml.safe_dump(values))
    run_helm(["dependency", "update", str(directory)])
    return Rendered(run_helm(["template", "rel", str(directory), "--kube-version", NEW]))


def test_it_is_a_good_subchart_with_global_values_and_a_condition(tmp_path: Path) -> None:
    values = {
        "global": {"imageRegistry": "mirror.example.org", "imagePullSecrets": ["pull"], "somebodyElses": {"a": 1}},
        "zcode-proxy": SECRET | {"enabled": True, "image": {"registry": "other.example.org"}},
    }
    chart = _umbrella(tmp_path, values)

    images = {container["image"] for _, container in chart.containers()}
    assert {"mirror.example.org/zcode-proxy:0.1.0"} == images
    assert all([{"name": "pull"}] == pod["spec"]["imagePullSecrets"] for _, pod in chart.pods())


def test_as_a_subchart_it_can_be_switched_off(tmp_path: Path) -> None:
    assert [] == _umbrella(tmp_path, {"zcode-proxy": {"enabled": False}}).objects


def test_replicas_are_left_to_the_autoscaler() -> None:
    assert 2 == render("sidecar").one("Deployment", "-gateway")["spec"]["replicas"]
    for name in ("autoscaling", "keda"):
        assert "replicas" not in render(name).one("Deployment", "-gateway")["spec"]


def test_a_single_pod_has_no_budget_that_would_block_its_node() -> None:
    assert [] == render("key-only").all("PodDisruptionBudget")
    assert 1 == render("sidecar").one("PodDisruptionBudget", "-gateway")["spec"]["maxUnavailable"]


def test_the_grace_period_covers_the_drain() -> None:
    deployment = render("sidecar", {"gateway": {"drainSeconds": 100, "preStopSeconds": 7}}).one(
        "Deployment", "-gateway"
    )
    pod = deployment["spec"]["template"]["spec"]
    config = yaml.safe_load(
        render("sidecar", {"gateway": {"drainSeconds": 100}}).one("ConfigMap", "-config")["data"]["config.yaml"]
    )

    assert 100 == config["limits"]["drain"]
    assert pod["terminationGracePeriodSeconds"] > 100 + 7
    assert pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][-3:] == ["drain", "--wait", "7"]


def test_a_pod_rolls_when_the_configuration_that_the_chart_owns_changes() -> None:
    def checksum(values: dict[str, Any]) -> str:
        deployment = render("sidecar", values).one("Deployment", "-gateway")
        return deployment["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum({}) != checksum({"config": {"defaultModel": "glm-5.2"}})


def test_the_sidecar_is_native_has_its_own_limits_and_no_service() -> None:
    chart = render("sidecar")
    (sidecar,) = chart.one("Deployment", "-gateway")["spec"]["template"]["spec"]["initContainers"]
    (gateway,) = chart.one("Deployment", "-gateway")["spec"]["template"]["spec"]["containers"]

    assert "Always" == sidecar["restartPolicy"]
    assert sidecar["startupProbe"]
    assert sidecar["resources"] != gateway["resources"]
    assert not any(
        port["targetPort"] == "gateways" for service in chart.all("Service") for port in service["spec"]["ports"]
    )
    mounted = {mount["name"] for mount in gateway["volumeMounts"]}
    assert not mounted & {"keyring", "store", "state"}, "the gateway holds no master key and no right on the store"


def test_the_claim_of_the_store_is_made_by_an_installation_only() -> None:
    from tests.chart.rendering import values_of

    (job,) = render("sidecar").all("Job")
    text = run_helm(["template", "rel", str(CHART), "--is-upgrade", "-f", str(CHART / "ci" / "sidecar-values.yaml")])

    assert "-init-" in job["metadata"]["name"]
    assert "helm.sh/hook" not in job["metadata"].get("annotations", {})
    assert [] == Rendered(text).all("Job")
    assert values_of("sidecar")
