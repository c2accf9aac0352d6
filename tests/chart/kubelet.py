"""
A stand-in for a kubelet and a cluster network: runs the pods of a rendered chart as real containers.

What it does as Kubernetes does: init containers in order, native sidecars up to their startup probe before what follows,
a network namespace shared by a pod, security contexts (uid, gid, read-only root, capabilities, no new privileges), memory
limits, ConfigMaps, Secrets and tokens of accounts as read-only files of the fsGroup, emptyDirs, new claims, probes, restarts, and at the end preStop,
SIGTERM, the grace period and SIGKILL, sidecars last.

What it does not: schedule, balance (a Service's name is the address of its pods), enforce network policies, or watch.
"""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import docker
import httpx2
from docker.models.containers import Container

from tests.chart.rendering import NAMESPACE, Rendered
from tests.support.kubernetes import Signer

_SLEEP = "import signal; signal.pause()"


class Kubelet:
    """One node with one network, on which pods of one rendering run."""

    def __init__(
        self,
        client: docker.DockerClient,
        chart: Rendered,
        secrets: dict[str, dict[str, str]],
        directory: Path,
        *,
        config_maps: dict[str, dict[str, str]] | None = None,
        signer: Signer | None = None,
    ) -> None:
        """`secrets` and `config_maps` are the user's; `signer` is the cluster's, for tokens of accounts."""
        self.client = client
        self.chart = chart
        self.directory = directory
        self.pods: list[Pod] = []
        self._count = 0
        self._files: dict[tuple[str, str], dict[str, str]] = {("secret", name): data for name, data in secrets.items()}
        self._files |= {("configMap", name): data for name, data in (config_maps or {}).items()}
        self.signer = signer
        for each in chart.all("ConfigMap"):
            self._files["configMap", each["metadata"]["name"]] = each["data"]
        self.network = client.networks.create(f"zcode-{os.getpid()}-{directory.name}", driver="bridge")
        self.gateway = self.client.networks.get(self.network.id).attrs["IPAM"]["Config"][0]["Gateway"]

    def data(self, kind: str, name: str) -> dict[str, str]:
        return self._files[kind, name]

    def services_of(self, labels: dict[str, str]) -> list[str]:
        """Return the names by which a pod with these labels is reached."""
        found = [each for each in self.chart.all("Service") if each["spec"]["selector"].items() <= labels.items()]
        return [each["metadata"]["name"] for each in found]

    def run(self, name: str, template: dict[str, Any]) -> "Pod":
        """Start a pod and return once its containers are started (not: ready)."""
        self._count += 1
        pod = Pod(self, f"{name}-{self._count}", template)
        self.pods.append(pod)
        pod.start()
        return pod

    def close(self) -> None:
        for pod in self.pods:
            pod.remove()
        self.network.remove()


class Pod:
    """One pod: its containers, their order, and its end."""

    def __init__(self, node: Kubelet, name: str, template: dict[str, Any]) -> None:
        self.name = name
        self.spec = template["spec"]
        self._node = node
        self._labels = template["metadata"].get("labels", {})
        self._directory = node.directory / name
        self._directory.mkdir()
        self.containers: dict[str, Container] = {}
        self._pause: Container | None = None

    @property
    def address(self) -> str:
        assert self._pause is not None
        self._pause.reload()
        return str(self._pause.attrs["NetworkSettings"]["Networks"][self._node.network.name]["IPAddress"])

    @property
    def specs(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.spec.get("initContainers", []) + self.spec["containers"]}

    def start(self) -> None:
        self._pause = self._node.client.containers.create(
            self._image_of(self.spec["containers"][0]),
            ["-c", _SLEEP],
            entrypoint=["/opt/zcode-proxy/bin/python"],
            name=self.name,
        )
        self._node.network.connect(self._pause, aliases=self._node.services_of(self._labels))
        self._node.client.networks.get("bridge").disconnect(self._pause)
        self._pause.start()
        for spec in self.spec.get("initContainers", []):
            self._run(spec)
            if spec.get("restartPolicy") == "Always":
                self.wait_probe(spec["name"], "startupProbe")
            elif self.containers[spec["name"]].wait(timeout=120)["StatusCode"]:
                raise RuntimeError(self.log(spec["name"]))
        for spec in self.spec["containers"]:
            self._run(spec)

    def _image_of(self, spec: dict[str, Any]) -> str:
        return str(spec["image"])

    def _run(self, spec: dict[str, Any]) -> None:
        assert self._pause is not None
        security = self.spec["securityContext"] | spec["securityContext"]
        self.containers[spec["name"]] = self._node.client.containers.run(
            self._image_of(spec),
            [word.replace("$(JOB)", self.name) for word in spec.get("args", [])] or None,
            detach=True,
            name=f"{self.name}-{spec['name']}",
            entrypoint=spec.get("command"),
            environment={each["name"]: self._value(each) for each in spec.get("env", [])},
            network_mode=f"container:{self._pause.id}",
            user=f"{security['runAsUser']}:{security['runAsGroup']}",
            group_add=[str(security["fsGroup"])],
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=["no-new-privileges"] * (security["allowPrivilegeEscalation"] is False),
            mem_limit=spec["resources"]["limits"]["memory"].replace("Mi", "m"),
            volumes=[self._mount(each) for each in spec.get("volumeMounts", [])],
        )

    def _value(self, variable: dict[str, Any]) -> str:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}
            return self.name
        return str(variable["value"])

    def _mount(self, mount: dict[str, Any]) -> str:
        (volume,) = [each for each in self.spec["volumes"] if each["name"] == mount["name"]]
        path = self._directory / volume["name"]
        if not path.exists():
            self._fill(path, volume)
        return f"{path}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"

    def _fill(self, path: Path, volume: dict[str, Any]) -> None:
        group = self.spec["securityContext"]["fsGroup"]
        path.mkdir()
        shutil.chown(path, 0, group)
        path.chmod(0o2770 if {"emptyDir", "persistentVolumeClaim"} & volume.keys() else 0o2750)
        for kind, key in (("secret", "secretName"), ("configMap", "name")):
            if kind in volume:
                data = self._node.data(kind, volume[kind][key])
                items = {each["path"]: each["key"] for each in volume[kind].get("items", [])} or {
                    name: name for name in data
                }
                for name, source in items.items():
                    self._write(path / name, data[source], volume[kind]["defaultMode"])
        for source in volume.get("projected", {}).get("sources", []):
            self._write(path / source["serviceAccountToken"]["path"], self._token(source), 0o640)

    def _write(self, path: Path, content: str, mode: int) -> None:
        path.write_text(content)
        shutil.chown(path, 0, self.spec["securityContext"]["fsGroup"])
        path.chmod(mode)

    def _token(self, source: dict[str, Any]) -> str:
        """Sign a token of the pod's account; it is not renewed, so that a run must be shorter than it lasts."""
        assert self._node.signer is not None
        wanted = source["serviceAccountToken"]
        account = f"{NAMESPACE}/{self.spec['serviceAccountName']}"
        now = int(time.time())
        return self._node.signer.token(account, wanted["audience"], iat=now, exp=now + wanted["expirationSeconds"])

    def log(self, name: str) -> str:
        return str(self.containers[name].logs().decode(errors="replace"))

    def probe(self, name: str, kind: str) -> bool:
        """Ask once, as the kubelet does: from outside the pod."""
        spec = self.specs[name]
        target = spec[kind]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in spec["ports"]}
        try:
            answer = httpx2.get(
                f"http://{self.address}:{ports[target['port']]}{target['path']}", timeout=5, trust_env=False
            )
        except httpx2.HTTPError:
            return False
        return 200 <= answer.status_code < 400

    def wait_probe(self, name: str, kind: str, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.probe(name, kind):
            self.revive()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} {name}: {kind}\n{self.log(name)[-3000:]}")
            time.sleep(0.1)

    def wait_ready(self) -> None:
        for name, spec in self.specs.items():
            if "readinessProbe" in spec:
                self.wait_probe(name, "readinessProbe")

    def revive(self) -> list[str]:
        """Restart containers that have ended, as restartPolicy Always asks for; returns their names."""
        ended = [name for name, container in self.containers.items() if self.state(name) == "exited"]
        for name in ended:
            self.containers[name].start()
        return ended

    def state(self, name: str) -> str:
        self.containers[name].reload()
        return str(self.containers[name].status)

    def code(self, name: str, seconds: float = 180.0) -> int:
        """Return a container's exit code once it has ended."""
        return int(self.containers[name].wait(timeout=seconds)["StatusCode"])

    def delete(self) -> dict[str, int]:
        """End it as Kubernetes does, ordinary containers first; returns exit codes."""
        grace = self.spec["terminationGracePeriodSeconds"]
        deadline = time.monotonic() + grace
        sidecars = [
            each["name"] for each in self.spec.get("initContainers", []) if each.get("restartPolicy") == "Always"
        ]
        for spec in self.spec["containers"]:
            if hook := spec.get("lifecycle", {}).get("preStop", {}).get("exec"):
                code, output = self.containers[spec["name"]].exec_run(hook["command"])
                assert code == 0, output
        codes = {}
        for name in [each["name"] for each in self.spec["containers"]] + list(reversed(sidecars)):
            self.containers[name].kill("SIGTERM")
            codes[name] = self.code(name, max(2.0, deadline - time.monotonic()))
        return codes

    def remove(self) -> None:
        for container in [*self.containers.values(), *([self._pause] if self._pause else [])]:
            container.remove(force=True)
