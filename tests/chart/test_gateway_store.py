"""Gateways write usage down together, by a Redis user who sees nothing else, and hold nothing of the credentials service."""

from typing import Any

import pytest

from tests.chart.rendering import CI, render

PASSWORD_OF_CREDENTIALS = "zcode-redis"  # a Secret


def gateway(name: str, sets: dict[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the container, its environment and the pod's volumes."""
    pod = render(name, sets).one("Deployment", "-gateway")["spec"]["template"]["spec"]
    (container,) = [each for each in pod["containers"] if each["name"] == "gateway"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    return container, environment, {each["name"]: each for each in pod["volumes"]}


@pytest.mark.parametrize("name", ["usage", "valkey", "redis-sentinel"])
def test_a_gateway_is_told_of_the_store_and_its_own_login(name: str) -> None:
    container, environment, volumes = gateway(name)

    assert environment["ZCODE_STORE_URL"].startswith("redis")
    assert environment["ZCODE_STORE_USERNAME"] == "zr-gw"
    assert environment["ZCODE_STORE_PASSWORD_FILE"] == "/run/secrets/gateway-store/password"
    assert volumes["gateway-store"]["secret"]["secretName"] == "zcode-redis-gateway"
    assert {"gateway-store"} <= {each["name"] for each in container["volumeMounts"]}


@pytest.mark.parametrize("name", ["usage", "redis-sentinel"])
def test_the_authority_of_a_store_with_tls_is_trusted(name: str) -> None:
    container, environment, volumes = gateway(name)

    assert environment["ZCODE_STORE_CA_FILE"] == "/run/secrets/store-tls/ca.crt"
    assert volumes["store-tls"]["secret"]["secretName"] == "zcode-redis-ca"
    assert "store-tls" in {each["name"] for each in container["volumeMounts"]}


@pytest.mark.parametrize("name", CI)
@pytest.mark.parametrize("process", ["gateway", "captcha"])
def test_neither_gateway_nor_captcha_mounts_what_the_credentials_service_is_let_in_with(
    name: str, process: str
) -> None:
    """The one key that is shared is the sentinels' password, mounted apart from the store's."""
    found = [(pod, each) for pod, each in containers(name) if each["name"] == process]
    for pod, container in found:
        mounted = {each["name"] for each in container["volumeMounts"]}
        for volume in pod["volumes"]:
            secret = volume.get("secret", {})
            if volume["name"] in mounted and secret.get("secretName") in (PASSWORD_OF_CREDENTIALS, "zcode-keyring"):
                assert [item["path"] for item in secret["items"]] == ["sentinel-password"]
    assert found or process == "captcha"


def containers(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(pod["spec"], each) for _, pod in render(name).pods() for each in pod["spec"]["containers"]]


def test_captcha_reaches_sentinels_that_ask_for_a_password() -> None:
    sets = {
        "captcha": {"enabled": True, "keySecret": {"name": "k"}, "store": {"existingSecret": "zcode-redis-captcha"}},
        "internalTls": {"credentialsSecret": "t", "captchaSecret": "t"},
    }
    pod = render("redis-sentinel", sets).one("Deployment", "-captcha")["spec"]["template"]["spec"]
    (container,) = [each for each in pod["containers"] if each["name"] == "captcha"]
    environment = {each["name"]: each.get("value") for each in container["env"]}

    assert environment["ZCODE_STORE_SENTINEL_USERNAME"] == "zr-sentinel-user"
    assert environment["ZCODE_STORE_SENTINEL_PASSWORD_FILE"] == "/run/secrets/store-sentinel/sentinel-password"
    assert "store-sentinel" in {each["name"] for each in container["volumeMounts"]}


def test_a_gateway_without_a_store_has_a_place_for_its_usage_that_it_may_write() -> None:
    container, environment, volumes = gateway("key-only")
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "usage"]
    config = render("key-only").one("ConfigMap", "-config")["data"]["config.yaml"]

    assert "ZCODE_STORE_URL" not in environment
    assert f"dir: {mount['mountPath']}" in config
    assert volumes["usage"]["emptyDir"]


def test_a_gateway_reaches_the_store_only_when_it_has_business_there() -> None:
    def ports(name: str, sets: dict[str, Any] | None = None) -> set[int]:
        policy = render(name, sets).one("NetworkPolicy", "-gateway")
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule.get("ports", [])}

    assert 6379 in ports("usage")
    assert 6379 not in ports("usage", {"gateway": {"store": {"existingSecret": ""}}})
