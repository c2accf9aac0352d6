"""
How our processes know each other over the network: which tokens, certificates and rights which pod has, and no more.

Shown to fail once by: mounting the whole Secret of a service's certificate where it is called; a token of the API in a
gateway; a list of accounts without the captcha service's; a certificate for another name than the one that is called.
"""

from typing import Any
from urllib.parse import urlsplit

import pytest

from services.captcha.client import AUDIENCE as CAPTCHA
from services.credentials.contract import AUDIENCE as CREDENTIALS
from tests.chart.rendering import CI, NAMESPACE, Rendered, render

PLAIN = ("internal-token",)  # the mesh encrypts, the token is shared
BOTH = ("cert-manager", "valkey-ephemeral", "redis-cluster")  # both services over the network
POLICY_PORTS = ({"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"})


def volumes(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}


def pod_of(chart: Rendered, component: str) -> dict[str, Any]:
    return chart.one("Deployment", f"-{component}")["spec"]["template"]


def env(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container["env"]}


def container_of(chart: Rendered, component: str) -> dict[str, Any]:
    containers = pod_of(chart, component)["spec"]["containers"]
    return next(each for each in containers if each["name"] == component)


def tokens(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every projected token of a pod."""
    return [
        source["serviceAccountToken"]
        for volume in volumes(pod).values()
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]


def called(chart: Rendered) -> list[str]:
    """Return the services of ours that are called over the network."""
    names = [each["metadata"]["labels"]["app.kubernetes.io/component"] for each in chart.all("Deployment")]
    return [name for name in ("credentials", "captcha") if name in names]


@pytest.mark.parametrize("name", CI)
def test_who_calls_nobody_has_no_token(name: str) -> None:
    chart = render(name)
    for where, pod in chart.pods():
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        if name in PLAIN or not called(chart) or component not in ("gateway", "credentials", "captcha"):
            assert [] == tokens(pod), where


@pytest.mark.parametrize("name", [name for name in CI if name not in PLAIN and name != "own-config"])
def test_a_gateway_has_a_short_token_for_each_service_and_none_for_the_api(name: str) -> None:
    chart = render(name)
    wanted = {"credentials": CREDENTIALS, "captcha": CAPTCHA}

    assert [
        {"path": service, "audience": wanted[service], "expirationSeconds": 600} for service in called(chart)
    ] == tokens(pod_of(chart, "gateway"))


@pytest.mark.parametrize("name", BOTH)
def test_a_service_has_a_token_for_the_api_server_alone_and_the_captcha_service_one_for_credentials(name: str) -> None:
    chart = render(name)
    api = {"path": "token", "expirationSeconds": 3600}
    account = {"path": "credentials", "audience": CREDENTIALS, "expirationSeconds": 600}

    assert [api] == tokens(pod_of(chart, "credentials"))
    assert [api, account] == tokens(pod_of(chart, "captcha"))


@pytest.mark.parametrize("name", ["issuer-address", "issuer-file"])
def test_where_keys_come_from_elsewhere_nothing_goes_to_the_api_server(name: str) -> None:
    chart = render(name)
    ports = [rule.get("ports") for rule in chart.one("NetworkPolicy", "-credentials")["spec"]["egress"]]
    found = env(container_of(chart, "credentials"))

    assert [] == tokens(pod_of(chart, "credentials"))
    assert list(POLICY_PORTS) not in ports
    assert found["ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_ISSUER"]
    assert found["ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_JWKS"]


@pytest.mark.parametrize("name", BOTH)
def test_policies_let_those_that_verify_ask_the_api_server_and_nobody_else(name: str) -> None:
    chart = render(name)
    asking = {
        policy["metadata"]["labels"]["app.kubernetes.io/component"]
        for policy in chart.all("NetworkPolicy")
        if list(POLICY_PORTS) in [rule.get("ports") for rule in policy["spec"].get("egress", [])]
    }

    assert {"credentials", "captcha"} == asking


@pytest.mark.parametrize("name", BOTH)
def test_the_accounts_that_may_call_are_those_of_the_pods_that_do(name: str) -> None:
    chart = render(name)
    accounts = {
        component: f"{NAMESPACE}/{pod_of(chart, component)['spec']['serviceAccountName']}"
        for component in ("gateway", "captcha")
    }

    allowed = env(container_of(chart, "credentials"))["ZCODE_CREDENTIALS_SERVICE_ACCOUNTS_ALLOW"].split(",")
    assert [accounts["gateway"], accounts["captcha"]] == allowed
    allowed = env(container_of(chart, "captcha"))["ZCODE_CAPTCHA_SERVICE_ACCOUNTS_ALLOW"].split(",")
    assert [accounts["gateway"]] == allowed


@pytest.mark.parametrize("name", CI)
def test_a_private_key_is_where_it_is_listened_with_only(name: str) -> None:
    """Callers get the authority out of the same Secret, and nothing else of it."""
    for where, pod in render(name).pods():
        keys = [
            volume["name"]
            for volume in volumes(pod).values()
            for item in volume.get("secret", {}).get("items", [{"key": "everything"}] * ("secret" in volume))
            if volume["name"] == "tls" or volume["name"].endswith("-ca")
            if item["key"] in ("everything", "tls.key")
        ]
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        assert keys in ([], ["tls"]), where
        assert not keys or component in ("credentials", "captcha"), where


@pytest.mark.parametrize("name", ["cert-manager", "valkey-ephemeral"])
def test_certificates_are_for_the_names_that_are_called(name: str) -> None:
    chart = render(name)
    found = env(container_of(chart, "gateway"))
    names = {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["dnsNames"]
        for each in chart.all("Certificate")
    }

    assert {"credentials", "captcha"} == names.keys()
    for component, own in names.items():
        address = urlsplit(found[f"ZCODE_{component.upper()}_ADDRESS"])
        assert ("https", True) == (address.scheme, address.hostname in own)
        assert address.hostname in {each["metadata"]["name"] for each in chart.all("Service")}


def test_no_certificate_is_asked_for_where_one_is_given() -> None:
    sets = {"internalTls": {"credentialsSecret": "zcode-own"}}

    assert ["rel-zcode-proxy-captcha-tls"] == [
        each["metadata"]["name"] for each in render("cert-manager", sets).all("Certificate")
    ]


def test_the_right_to_read_keys_is_given_only_where_it_is_asked_for() -> None:
    assert ["cert-manager"] == [name for name in CI if render(name).all("ClusterRoleBinding")]
    (binding,) = render("cert-manager").all("ClusterRoleBinding")

    assert "system:service-account-issuer-discovery" == binding["roleRef"]["name"]
    assert {"rel-zcode-proxy-credentials", "rel-zcode-proxy-captcha"} == {each["name"] for each in binding["subjects"]}


def test_two_releases_of_one_name_bind_rights_under_two_names() -> None:
    """A ClusterRoleBinding has no namespace of its own."""
    from tests.chart.rendering import CHART, run_helm

    values = ["-f", str(CHART / "ci" / "cert-manager-values.yaml")]
    names = {
        Rendered(run_helm(["template", "rel", str(CHART), "--namespace", namespace, *values])).one(
            "ClusterRoleBinding"
        )["metadata"]["name"]
        for namespace in ("one", "two")
    }

    assert 2 == len(names)


def test_gateways_and_browsers_reach_the_captcha_service_by_ports_of_their_own() -> None:
    chart = render("captcha")
    rules = {
        rule["ports"][0]["port"]: rule["from"] for rule in chart.one("NetworkPolicy", "-captcha")["spec"]["ingress"]
    }

    assert "ClusterIP" == chart.one("Service", "-captcha-peers")["spec"]["type"]
    assert ["gateway"] == [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in rules["peers"]]
    assert [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}] == rules["captcha"]


def test_in_a_mesh_everything_is_as_it_was() -> None:
    chart = render("internal-token")
    gateway = env(container_of(chart, "gateway"))

    assert "http://rel-zcode-proxy-credentials:8081" == gateway["ZCODE_CREDENTIALS_ADDRESS"]
    assert "http://rel-zcode-proxy-captcha:8082" == gateway["ZCODE_CAPTCHA_ADDRESS"]
    assert {"/run/secrets/internal/token"} == {
        value
        for component in ("gateway", "credentials", "captcha")
        for key, value in env(container_of(chart, component)).items()
        if key.endswith("TOKEN_FILE")
    }
    assert [] == [name for name in env(container_of(chart, "credentials")) if "TLS" in name or "ACCOUNTS" in name]
