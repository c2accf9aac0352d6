"""
One installation whose processes are of several releases: a Redis, a keyring, a login provider, and pods on them.

    house = House(tmp_path, redis.url, origin)
    pod = house.pod("a", code=old)
    pod.command("init")
    pod.start(gateway=old, service=new)
"""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2
import redis

from tests.support.cluster import Cluster

SECONDS = 60.0


class Pod(Cluster):
    """A gateway and its credentials sidecar, which may be of two releases."""

    def __init__(self, directory: Path, origin: str, store: str, more: Mapping[str, Any]) -> None:
        super().__init__(directory, origin, socket=True, store={"url": store}, more=more)
        self._running = contextlib.ExitStack()

    def start(self, *, gateway: Path, service: Path, **environ: str) -> None:
        """Start both, the sidecar first, and wait until clients may be sent here."""
        self.code = service
        sidecar = self._running.enter_context(self.running("credentials", **environ))
        self.wait(lambda: self.readiness(self.service_admin)[0] == 200, sidecar, SECONDS)
        self.code = gateway
        process = self._running.enter_context(self.gateway())
        self.wait(lambda: self.readiness()[0] == 200, process, SECONDS)

    def leave(self, *, drain: float = 0.0) -> None:
        """End both as a deleted pod does: told, then signalled, the sidecar last."""
        if drain:
            self.command("drain", "--port", str(self.admin), "--wait", str(drain))
        self._running.close()
        self._running = contextlib.ExitStack()

    def listed(self, *argv: str) -> Any:
        """Return what a command prints as JSON, whatever it leaves with."""
        done = self.attempt(*argv, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)


class House:
    """What pods share."""

    def __init__(self, directory: Path, store: str, origin: str) -> None:
        self._directory = directory
        self._store = store
        self._origin = origin
        self.pods: list[Pod] = []

    def pod(self, name: str, *, code: Path, **more: Any) -> Pod:
        """Return a pod that is not started yet; `code` is what its commands run."""
        origin = self._origin
        oauth = {
            "authorizeUrl": f"{origin}/api/oauth/authorize",
            "tokenUrl": f"{origin}/api/v1/oauth/token",
            "initUrl": f"{origin}/api/v1/oauth/cli/init",
            "pollUrl": f"{origin}/api/v1/oauth/cli/poll",
            "bizBase": origin,
            "loginUrl": f"{origin}/api/auth/z/login",
        }
        bases = {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
        shared: dict[str, Any] = {
            "providers": {"zai": bases | {"oauth": oauth}},
            "keyring": {"file": str(self._directory / "keyring.json")},
        }
        pod = Pod(self._directory / name, origin, self._store, shared | more)
        pod.code = code
        self.pods.append(pod)
        return pod

    def provider(self, **changes: Any) -> dict[str, int]:
        """Change how the provider behaves; return how often it was asked for what."""
        answer = httpx2.post(f"{self._origin}/_simulator/identity", json=changes, trust_env=False)
        assert answer.status_code == 200, answer.text
        counts: dict[str, int] = answer.json()["counts"]
        return counts

    def revoke_keys(self) -> None:
        """Let the upstream refuse the key that the login was resolved to."""
        httpx2.post(f"{self._origin}/_simulator/identity/revoke-keys", trust_env=False).raise_for_status()

    def script(self, script: str) -> None:
        """Say what the upstream answers to its next request."""
        done = httpx2.post(f"{self._origin}/_simulator/script", json={"script": script}, trust_env=False)
        assert done.status_code == 200, done.text

    def flush(self) -> None:
        """Lose everything that is in the store."""
        with contextlib.closing(redis.Redis.from_url(self._store)) as client:
            client.flushall()

    def close(self) -> None:
        """End every pod."""
        for pod in self.pods:
            pod.leave()
