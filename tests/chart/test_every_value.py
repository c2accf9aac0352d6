"""
Rung 4: every value does something. For each leaf of values.yaml there is a values file in ci/ whose rendering changes when it does.

Values that a template reads and drops, or that nobody reads, are how charts lie to their users.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from tests.chart import reference
from tests.chart.rendering import APIS, CI, Refused, merged, render, values_of

FIRST = {  # where a value is most likely to be seen; the other files follow
    "captcha": ("captcha", "redis-cluster", "valkey-ephemeral"),
    "credentials": ("credentials-deployment", "sidecar"),
    "gateway": ("sidecar", "autoscaling", "keda", "everything-extra"),
    "store": ("redis-sentinel", "sidecar", "redis-cluster"),
    "metrics": ("monitoring", "podmonitor", "keda"),
    "simulator": ("simulator",),
    "backup": ("jobs",),
    "rotation": ("jobs",),
    "ingress": ("ingress",),
    "httpRoute": ("httproute",),
    "upstream": ("key-only",),
    "clientKey": ("key-only",),
    "internalAuth": ("credentials-deployment", "issuer-address", "issuer-file", "cert-manager"),
    "internalTls": ("credentials-deployment", "cert-manager", "captcha"),
    "internalToken": ("internal-token",),
    "keyring": ("sidecar", "jobs"),
    "valkey": ("valkey", "valkey-ephemeral"),
}
OTHER = {  # a value of the right kind where "another text" would not be one
    "gateway.autoscaling.behavior": {"scaleUp": {"stabilizationWindowSeconds": 7}},
    "gateway.strategy": {"rollingUpdate": {"maxSurge": 3}},
    "config": {"defaultModel": "other"},
    "captcha.origin": "https://other.example.org",
    "store.url": "redis://other:6379",
    "internalAuth.jwks.url": "https://other.example.org/keys",
    "internalAuth.expirationSeconds": 1200,
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}],
    "imagePullSecrets": ["other"],
    "global.imagePullSecrets": ["other"],
    "gateway.keda.triggers": [{"type": "cpu", "metadata": {"value": "50"}}],
    "metrics.prometheusRule.additionalGroups": [{"name": "other", "rules": []}],
}
PEER = [{"podSelector": {"matchLabels": {"app": "other"}}}]
LISTS: dict[str, list[Any]] = {  # lists of something else than named things
    **{name: PEER for name in ("dns", "apiServer", "metricsFrom", "captchaPageFrom", "clientsFrom")},  # noqa: C420 -- see RUF024
    **{name: ["other.example.org"] for name in ("hosts", "hostnames")},
}
ALSO = {  # what a change cannot be without
    "valkey.enabled": {"store": {"url": "redis://other:6379"}},
    "internalTls.certManager.enabled": {"internalTls": {"credentialsSecret": "other", "captchaSecret": "other"}},
}


def leaves(value: Any, path: str, comments: dict[str, list[str]]) -> Iterator[tuple[str, Any]]:
    """Yield every value that a user may set, with its default."""
    lines = comments.get(path, [])
    if reference.directive(lines, "unused") is not None:
        return
    if isinstance(value, dict) and value and (reference.directive(lines, "open") is None or path == "global"):
        for key in value:
            yield from leaves(value[key], f"{path}.{key}".lstrip("."), comments)
        return
    yield path, value


COMMENTS = reference.notes()
LEAVES = dict(leaves(yaml.safe_load(reference.VALUES.read_text()), "", COMMENTS))


def other_value(path: str, default: Any) -> Any:
    """Return a value of the same kind that is not the default."""
    if path in OTHER:
        return OTHER[path]
    if choices := reference.directive(COMMENTS.get(path, []), "enum"):
        return next(choice.strip() for choice in reversed(choices.split(",")) if choice.strip() != default)
    if isinstance(default, str):
        return "7m" if default and default[0].isdigit() and default[-1] in "sm" else "other"
    if isinstance(default, list):
        return LISTS.get(path.rpartition(".")[2], [{"name": "other"}])
    if isinstance(default, dict):
        return {"other": "other"}
    return not default if isinstance(default, bool) else (default or 0) + 30077


def seen_in(path: str) -> str | None:
    """Return the first values file whose rendering shows that this value is another one."""
    keys = path.split(".")
    for name in dict.fromkeys((*FIRST.get(keys[0], ()), "sidecar", *CI)):
        current: Any = values_of(name)
        for key in keys:
            current = current.get(key, {}) if isinstance(current, dict) else {}
        other = other_value(path, LEAVES[path])
        sets: Any = LEAVES[path] if current == other else other
        for key in reversed(keys):
            sets = {key: sets}
        sets = merged(sets, ALSO.get(path, {}))
        apis = () if keys[-1] == "force" else APIS
        with contextlib.suppress(Refused):
            if render(name, sets, apis=apis).text != render(name, apis=apis).text:
                return name
    return None


@pytest.fixture(scope="module")
def places() -> dict[str, str | None]:
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(LEAVES, pool.map(seen_in, LEAVES), strict=True))


@pytest.mark.timeout(500)
def test_every_value_is_rendered_somewhere(places: dict[str, str | None]) -> None:
    assert [] == [path for path, name in places.items() if name is None]


def test_the_list_of_values_is_not_empty() -> None:
    assert len(LEAVES) > 150
    assert {"gateway.replicas", "store.tls.caKey", "valkey.image.digest", "global.imageRegistry"} <= LEAVES.keys()
