"""The commands with `--server`: what they do to a running service is what they do to its store."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.credentials.contract import Kind
from tests.support.cluster import Cluster

NEW = "id.new-plan-key-canary-that-is-long-enough"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, "http://127.0.0.1:1", socket=True)
    cluster.command("init")
    return cluster


async def test_everything_a_person_does_works_through_the_service(cluster: Cluster) -> None:
    await cluster.add("crd_givenbyhand", api_key="id.old-plan-key-canary")
    await cluster.add("crd_withalogin", kind=Kind.OAUTH, provider="bigmodel", api_key="id.x", label="mine")
    with cluster.credentials() as service:

        def there(*argv: str, given: str = "") -> str:
            return cluster.command(*argv, "--server", cluster.admin_url, given=given)

        key = there("keys", "create", "--name", "ci", "--models", "glm-4.7")
        id_ = key[4:16]
        second = there("keys", "rotate", id_)
        keys = json.loads(there("keys", "list", "--json"))
        revoked = there("keys", "revoke", id_)
        replaced = there("rotate", "credential", "crd_givenbyhand", given=NEW)
        master = json.loads(there("rotate", "master", "--json"))
        removed = there("auth", "logout", "bigmodel")
        logins = json.loads(cluster.command("auth", "status", "--json"))  # on the store itself
        proven = there("audit", "verify")
        log = service.log

    assert second != key
    assert [(entry["name"], entry["models"], entry["secrets"]) for entry in keys] == [("ci", ["glm-4.7"], 2)]
    assert revoked == f"revoked ci ({id_})"
    assert replaced.startswith("replaced: zai test (crd_givenbyhand), key …")
    assert (master["primary"], master["retired"], set(master["records"])) == (2, [1], {"2"})
    assert removed == "removed bigmodel: mine (crd_withalogin)"
    assert [(login["id"], login["key"]) for login in logins] == [("crd_givenbyhand", f"…{NEW[-4:]}")]
    assert "all as they were written" in proven
    assert "admin API" in log
    for secret in (key, second, NEW):
        assert secret not in log


def test_what_is_wrong_with_the_way_there_is_said(cluster: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "admin-token"
    token.write_text("a-token-that-the-service-does-not-know\n")
    with cluster.credentials():
        stranger = cluster.attempt("keys", "list", "--server", cluster.admin_url, "--token-file", str(token))
        gateway = cluster.attempt("keys", "list", "--server", cluster.admin_url, "--token-file", str(cluster.token))
        unknown = cluster.attempt("rotate", "credential", "crd_nobody", "--server", cluster.admin_url)
    away = cluster.attempt("auth", "status", "--server", cluster.admin_url)
    clear = cluster.attempt("auth", "status", "--server", "http://credentials:9091")

    assert [done.returncode for done in (stranger, gateway, unknown, away, clear)] == [1, 1, 1, 69, 2]
    assert "no token, or a wrong one" in stranger.stderr
    assert "no token, or a wrong one" in gateway.stderr
    assert "there is no such credential" in unknown.stderr
    assert "does not answer" in away.stderr
    assert "in the clear" in clear.stderr
    assert "Traceback" not in stranger.stderr + gateway.stderr + unknown.stderr + away.stderr + clear.stderr
