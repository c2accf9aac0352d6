"""
Rung 8: the pods of the rendered chart run as containers, and live as pods do. `kubelet.py` says what it stands in for.

The tests build on each other in this order, as an installation does: claim the store, start, serve, break, leave.
"""

import json
import re
import threading
import time
from collections.abc import Iterator

import httpx2
import pytest

from tests.chart.containers.conftest import CLIENT_KEY
from tests.chart.kubelet import Kubelet, Pod

PYTHON = "/opt/zcode-proxy/bin/python"
ENDS = {"/v1/chat/completions": "data: [DONE]", "/v1/messages": "message_stop"}


def _question(model: str = "glm-5.2", *, stream: bool = True) -> dict[str, object]:
    return {"model": model, "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="session")
def simulator(node: Kubelet) -> Pod:
    return node.run("simulator", node.chart.one("Deployment", "-simulator")["spec"]["template"])


@pytest.fixture(scope="session")
def claimed(node: Kubelet) -> Pod:
    """The Job that lets the keyring claim the store."""
    (job,) = node.chart.all("Job")
    pod = node.run("init", job["spec"]["template"])
    assert pod.code("init") == 0, pod.log("init")
    return pod


@pytest.fixture(scope="session")
def gateway(node: Kubelet, simulator: Pod, claimed: Pod) -> Pod:
    assert simulator
    assert claimed
    pod = node.run("gateway", node.chart.one("Deployment", "-gateway")["spec"]["template"])
    pod.wait_ready()
    return pod


@pytest.fixture
def fresh(node: Kubelet, gateway: Pod) -> Iterator[Pod]:
    """Another gateway's pod, for a test that ends it."""
    assert gateway
    pod = node.run("gateway", node.chart.one("Deployment", "-gateway")["spec"]["template"])
    pod.wait_ready()
    yield pod
    pod.remove()
    node.pods.remove(pod)


def _ask(pod: Pod, path: str, key: str | None, model: str = "glm-5.2") -> tuple[int, str]:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    answer = httpx2.post(
        f"http://{pod.address}:8080{path}", json=_question(model), headers=headers, timeout=60, trust_env=False
    )
    return answer.status_code, answer.text


@pytest.mark.parametrize("path", ENDS)
def test_an_answer_streams_through_the_release(gateway: Pod, path: str) -> None:
    status, text = _ask(gateway, path, CLIENT_KEY)

    assert 200 == status
    assert "simulated" in text
    assert ENDS[path] in text


def test_nobody_is_served_without_a_key(gateway: Pod) -> None:
    assert 401 == _ask(gateway, "/v1/messages", None)[0]
    assert 401 == _ask(gateway, "/v1/messages", "zrp_wrong")[0]


def test_a_key_made_in_the_sidecar_is_good_at_the_gateway_within_seconds(gateway: Pod) -> None:
    command = [
        PYTHON,
        "-I",
        "-m",
        "services",
        "keys",
        "create",
        "--name",
        "t",
        "--config",
        "/etc/zcode-proxy/config.yaml",
    ]
    code, output = gateway.containers["credentials"].exec_run(command, demux=True)
    assert code == 0, output
    key = output[0].decode().strip().splitlines()[-1]

    deadline = time.monotonic() + 15
    while _ask(gateway, "/v1/messages", key)[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_the_containers_run_as_the_chart_says(gateway: Pod) -> None:
    script = (
        "import os, pathlib, json\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
        "def writable(path):\n"
        "    try:\n"
        "        pathlib.Path(path).write_text('x'); return True\n"
        "    except OSError:\n"
        "        return False\n"
        "print(json.dumps({'uid': os.getuid(), 'gid': os.getgid(), 'caps': status['CapEff'].strip(),\n"
        " 'nnp': status['NoNewPrivs'].strip(), 'root': writable('/x'), 'tmp': writable('/tmp/x'),\n"
        " 'config': writable('/etc/zcode-proxy/x')}))\n"
    )
    for name, container in gateway.containers.items():
        code, output = container.exec_run([PYTHON, "-I", "-c", script])
        assert code == 0, output
        found = json.loads(output)
        assert {"uid": 65532, "gid": 65532, "root": False, "tmp": True, "config": False} == {
            key: found[key] for key in ("uid", "gid", "root", "tmp", "config")
        }, name
        assert (int(found["caps"], 16), found["nnp"]) == (0, "1"), name


def test_the_gateway_serves_on_while_its_sidecar_is_killed_and_comes_back(gateway: Pod) -> None:
    gateway.containers["credentials"].kill("SIGKILL")
    gateway.code("credentials")
    assert 200 == _ask(gateway, "/v1/messages", CLIENT_KEY)[0]
    assert gateway.probe("gateway", "livenessProbe")

    assert ["credentials"] == gateway.revive()
    gateway.wait_ready()
    assert 200 == _ask(gateway, "/v1/messages", CLIENT_KEY)[0]


def test_a_killed_gateway_comes_back_beside_the_same_sidecar(gateway: Pod) -> None:
    gateway.containers["gateway"].kill("SIGKILL")
    gateway.code("gateway")

    assert ["gateway"] == gateway.revive()
    gateway.wait_ready()
    assert 200 == _ask(gateway, "/v1/messages", CLIENT_KEY)[0]


@pytest.mark.parametrize("path", ENDS)
def test_a_stream_outlives_the_deletion_of_its_pod(fresh: Pod, path: str) -> None:
    text: list[str] = []
    begun = threading.Event()

    def read() -> None:
        headers = {"authorization": f"Bearer {CLIENT_KEY}"}
        question = _question("sim:events=60;pace=100ms")
        with (
            httpx2.Client(timeout=60, trust_env=False) as client,
            client.stream("POST", f"http://{fresh.address}:8080{path}", json=question, headers=headers) as answer,
        ):
            for piece in answer.iter_text():
                text.append(piece)
                begun.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert begun.wait(30)
    codes = fresh.delete()
    reader.join(60)

    assert ENDS[path] in "".join(text)
    assert 0 == codes["gateway"], fresh.log("gateway")[-2000:]
    assert 0 == codes["credentials"], fresh.log("credentials")[-2000:]
    assert ["gateway", "credentials"] == list(codes), "the sidecar goes last"


@pytest.fixture(scope="session")
def captcha(node: Kubelet, claimed: Pod) -> Pod:
    assert claimed
    pod = node.run("captcha", node.chart.one("Deployment", "-captcha")["spec"]["template"])
    pod.wait_ready()
    return pod


def test_the_captcha_service_is_ready_with_a_redis_user_of_its_own(captcha: Pod) -> None:
    answer = httpx2.get(f"http://{captcha.address}:8082/captcha", timeout=10, trust_env=False, follow_redirects=False)

    assert answer.status_code < 500


def _asked(pod: Pod, container: str, **environ: str) -> tuple[int, str]:
    """Ask the captcha service from a container, with what is mounted there."""
    command = [
        PYTHON,
        "-I",
        "-m",
        "services",
        "captcha",
        "status",
        "--json",
        "--config",
        "/etc/zcode-proxy/config.yaml",
    ]
    code, output = pod.containers[container].exec_run(command, environment=environ)
    return int(code), output.decode()


def test_a_gateway_is_known_to_the_captcha_service_by_its_account_over_tls(gateway: Pod, captcha: Pod) -> None:
    # The service may ask the provider first, which cannot be reached from here; once it has given up, it answers at once.
    deadline = time.monotonic() + 60
    while (answer := _asked(gateway, "gateway"))[0] != 0:
        assert "does not answer" in answer[1], answer
        assert time.monotonic() < deadline, answer
    assert json.loads(answer[1])["waiting"] == 0

    code, said = _asked(gateway, "gateway", ZCODE_CAPTCHA_TOKEN_FILE="/run/secrets/captcha-ca/ca.crt")
    assert (code, "no token, or a wrong one" in said) == (69, True), said
    code, said = _asked(gateway, "gateway", ZCODE_CAPTCHA_ADDRESS=f"https://{captcha.address}:8083")
    assert (code, "its certificate is not trusted" in said) == (69, True), said


def test_a_command_in_the_captcha_services_own_pod_is_known_too(captcha: Pod) -> None:
    code, said = _asked(captcha, "captcha")

    assert code == 0, said


def test_the_rotation_reads_the_keyring_and_counts_every_record(node: Kubelet, gateway: Pod, captcha: Pod) -> None:
    """Two processes are asked for, which run: the gateway's sidecar and the captcha service's."""
    gateway.wait_ready()
    captcha.wait_ready()
    pod = node.run("rotation", job_of(node, "-rotation"))

    assert pod.code("rotation") == 0, pod.log("rotation")
    assert "master key 1 seals" in pod.log("rotation")
    assert "no rotation is under way; `zcode-proxy keyring add` begins one" in pod.log("rotation").replace("\n", " ")


def test_the_next_keyring_comes_out_of_a_pod_that_may_not_write_it(gateway: Pod) -> None:
    """As docs/kubernetes.md says it: the Secret is the operator's to change, with what this prints."""
    command = ["/opt/zcode-proxy/bin/zcode-proxy", "keyring", "add", "--config", "/etc/zcode-proxy/config.yaml"]
    code, output = gateway.containers["credentials"].exec_run(command, demux=True)
    refused, _ = gateway.containers["credentials"].exec_run([*command[:2], "retire", *command[3:]])
    keyring = json.loads(output[0])

    assert (code, refused) == (0, 1)
    assert [key["state"] for key in keyring["keys"]] == ["primary", "decrypt"]
    assert b"put it where the keyring is kept" in output[1]


def test_the_backup_writes_a_file_to_a_claim(node: Kubelet, claimed: Pod) -> None:
    assert claimed
    pod = node.run("backup", job_of(node, "-backup"))

    assert pod.code("backup") == 0, pod.log("backup")
    assert re.fullmatch(r"/backups/backup-\d+\.zrb: \d+ values", pod.log("backup").strip())


def job_of(node: Kubelet, ending: str) -> dict[str, object]:
    """Return the pod of a CronJob's Job."""
    template: dict[str, object] = node.chart.one("CronJob", ending)["spec"]["jobTemplate"]["spec"]["template"]
    return template


@pytest.mark.parametrize("name", ["refuses", "streams"])
def test_helm_test_finds_the_release_well(node: Kubelet, gateway: Pod, name: str) -> None:
    gateway.wait_ready()
    template = node.chart.one("Pod", f"-test-{name}")
    # A Service is the address of its pods here, without a translation of ports.
    container = template["spec"]["containers"][0]
    container["command"] = [word.replace("rel-zcode-proxy:80", "rel-zcode-proxy:8080") for word in container["command"]]
    pod = node.run(f"test-{name}", template)

    assert pod.code(name) == 0, pod.log(name)
    assert "BAD" not in pod.log(name)


def test_what_is_not_right_with_the_keyring_keeps_the_gateway_from_starting(node: Kubelet, claimed: Pod) -> None:
    """Another keyring than the one that claimed the store: the sidecar ends with 78, and no gateway starts beside it."""
    assert claimed
    secrets = node.data("secret", "zcode-keyring")
    right = secrets["keyring.json"]
    document = json.loads(right)
    document["keys"][0]["b64"] = "A" * 42 + "E="
    secrets["keyring.json"] = json.dumps(document)
    try:
        (job,) = node.chart.all("Job")
        pod = node.run("init-again", job["spec"]["template"])
        assert pod.code("init") == 78, pod.log("init")
    finally:
        secrets["keyring.json"] = right
