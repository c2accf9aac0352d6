"""
What one release has written, another reads and goes on with: in the store, in the spool, in files (P-68).

Shown to fail once by: an `epoch` of the secrets that names those which are not there (a spooled answer is dropped, its
token used a second time, the login lost); an open part, a snapshot or a tally with `forbid_unknown_fields`.
"""

from pathlib import Path

import pytest

from tests.support.pods import SECONDS, Pod
from tests.support.releases import RELEASED, ROOT, origin_of
from tests.system.upgrade.conftest import OTHERS, PAIRS, house_in

SPOOLED = "refresh.after_spool:1:kill"


def test_there_is_a_release_to_compare_with() -> None:
    assert RELEASED


@pytest.mark.parametrize("other", OTHERS)
def test_another_release_is_another_release(other: str, releases: dict[str, Path]) -> None:
    """Else everything here would compare the present one with itself."""
    assert origin_of(releases[other]).is_relative_to(releases[other])
    assert origin_of(ROOT).is_relative_to(ROOT)


def _requests(pod: Pod) -> int:
    return sum(int(group["requests"]) for group in pod.listed("usage"))


@pytest.mark.timeout(300)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_an_installation_goes_on_under_another_release(
    writer: str, reader: str, releases: dict[str, Path], tmp_path: Path
) -> None:
    old, new = releases[writer], releases[reader]
    with house_in(tmp_path, old) as house:
        (pod,) = house.pods
        first = pod.command("keys", "create", "--name", "first")
        # The sidecar dies with the provider's answer in its spool only; the token that got it is spent.
        with pod.running("credentials", ZR_FAILPOINT=SPOOLED) as service:
            pod.wait(lambda: pod.readiness(pod.service_admin)[0] == 200, service, SECONDS)
            with pod.gateway() as gateway:
                pod.wait(lambda: pod.ask(first).status_code == 200, gateway, SECONDS)
                assert [200] * 3 == [pod.ask(first).status_code for _ in range(3)]
                house.revoke_keys()  # what the gateway reports makes the sidecar use the refresh token
                assert 200 != pod.ask(first).status_code
                assert -9 == service.process.wait(SECONDS)
                service.killed = True
        spooled = list((pod.directory / "state" / "spool").glob("*.spool"))
        counted = _requests(pod)

        pod.code = new
        assert (1, counted) == (len(spooled), _requests(pod))
        pod.start(gateway=new, service=new)
        pod.wait(lambda: pod.ask(first).status_code == 200, seconds=SECONDS)
        assert 1 == house.provider()["refreshed"], "the answer in the spool was not used"
        (login,) = pod.listed("auth", "status")
        pod.command("rotate", "credential", login["id"])
        assert 200 == pod.ask(first).status_code
        (key,) = pod.listed("keys", "list")
        second = pod.command("keys", "rotate", key["id"])
        pod.wait(lambda: pod.ask(second).status_code == 200, seconds=SECONDS)
        assert 200 == pod.ask(first).status_code
        pod.command("keys", "revoke", key["id"])
        pod.wait(lambda: pod.ask(second).status_code == 401, seconds=SECONDS)
        proven = pod.command("audit", "verify")
        pod.leave()

        assert "ready" == login["state"]
        assert (2, 0) == (house.provider()["refreshed"], house.provider().get("families_ended", 0))
        assert [] == list((pod.directory / "state" / "spool").glob("*.spool"))
        assert counted + 3 <= _requests(pod)
        assert "all as they were written" in proven


@pytest.mark.timeout(300)
@pytest.mark.promise("P-68")
@pytest.mark.parametrize(("writer", "reader"), PAIRS)
def test_a_backup_is_restored_by_another_release(
    writer: str, reader: str, releases: dict[str, Path], tmp_path: Path
) -> None:
    with house_in(tmp_path, releases[writer]) as house:
        (pod,) = house.pods
        key = pod.command("keys", "create", "--name", "kept")
        pod.command("backup", "kept.backup")
        pod.code = releases[reader]
        house.flush()
        pod.command("init")
        pod.command("restore", "kept.backup")

        pod.start(gateway=releases[reader], service=releases[reader])
        pod.wait(lambda: pod.ask(key).status_code == 200, seconds=SECONDS)
