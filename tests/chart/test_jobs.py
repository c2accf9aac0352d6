"""What the Jobs may read and write, and what they are told of the release."""

from typing import Any

import pytest

from tests.chart.rendering import CI, render

Container = dict[str, Any]


def rotation(name: str, sets: dict[str, Any] | None = None) -> tuple[Container, dict[str, Any]]:
    """Return the rotation's container and its keyring volume."""
    pod = render(name, sets).one("CronJob", "-rotation")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "keyring"]
    return container, volume


def mount_of(container: Container, name: str) -> dict[str, Any]:
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == name]
    return mount


def test_the_rotation_only_reads_a_keyring_in_a_secret() -> None:
    container, volume = rotation("rotation")

    assert volume["secret"]["secretName"] == "zcode-keyring"
    assert mount_of(container, "keyring")["readOnly"] is True


def test_the_rotation_writes_a_keyring_on_a_claim() -> None:
    container, volume = rotation("jobs")

    assert volume["persistentVolumeClaim"] == {"claimName": "zcode-keyring"}
    assert "readOnly" not in mount_of(container, "keyring")


@pytest.mark.parametrize(
    ("sets", "replicas"),
    [
        ({"gateway": {"replicas": 3}}, 3),
        ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 5}}}, 5),
        ({"gateway": {"keda": {"enabled": True, "minReplicas": 4, "triggers": [{"type": "cpu"}]}}}, 4),
        (
            {
                "captcha": {"enabled": True, "replicas": 2, "keySecret": {"name": "k"}},
                "internalTls": {"credentialsSecret": "t", "captchaSecret": "t"},
            },
            4,
        ),
        (
            {
                "credentials": {"mode": "deployment", "replicas": 6},
                "internalTls": {"credentialsSecret": "t", "captchaSecret": "t"},
            },
            6,
        ),
    ],
)
def test_the_rotation_waits_for_every_process_that_the_chart_runs(sets: dict[str, Any], replicas: int) -> None:
    arguments = rotation("rotation", sets)[0]["args"]

    assert arguments[:4] == ["rotate", "master", "--replicas", str(replicas)]


@pytest.mark.parametrize("name", CI)
def test_nothing_may_do_anything_at_the_api_server_but_read_public_keys(name: str) -> None:
    chart = render(name)
    rights = [each for each in chart.objects if "Role" in each["kind"]]

    assert all(each["roleRef"]["name"] == "system:service-account-issuer-discovery" for each in rights)
    for where, pod in chart.pods():
        assert pod["spec"]["automountServiceAccountToken"] is False, where
