"""The keyring on disk: private, durable, never replaced by accident, and refused in one line."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from services.credentials import keyring_file
from services.credentials.errors import KeyringInvalid, Unavailable
from services.credentials.keyring import Keyring
from services.credentials.keyring_file import KeyringFile, KeyringWatch
from tests.support.mounted_secret import MountedSecret

FIRST = Keyring.generate(bytes(range(32)))
SECOND = FIRST.added(bytes(range(32, 64)))


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def test_a_first_start_makes_a_keyring_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "store" / "keyring.json"

    made = keyring_file.load_or_generate(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert names(path.parent) == [path.name]
    assert keyring_file.load_or_generate(path) == keyring_file.load(path) == made


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keyring_file.create(tmp_path / "keyring", FIRST)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "keyring").stat().st_mode) == 0o600


def test_an_existing_file_is_never_replaced_by_a_new_keyring(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)

    with pytest.raises(FileExistsError):
        keyring_file.create(path, SECOND)

    assert keyring_file.load(path) == FIRST
    assert names(tmp_path) == ["keyring"]


def test_of_two_first_starts_both_take_the_keyring_of_the_one_that_was_faster(tmp_path: Path) -> None:
    path = tmp_path / "keyring"

    def slow(size: int) -> bytes:
        keyring_file.create(path, SECOND)
        return bytes(range(size))

    assert keyring_file.load_or_generate(path, random=slow) == SECOND


async def test_a_keyring_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    with path.open("rb") as reader:
        holder = KeyringFile(path)

        await holder.write(SECOND)

        assert Keyring.parse(reader.read()) == FIRST
    assert await holder.read() == SECOND
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["keyring"]


def test_file_and_directory_are_synchronised_before_a_keyring_counts_as_written(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
real, seen = os.fsync, []
os.fsync = lambda handle: (seen.append(os.path.realpath(f"/proc/self/fd/{{handle}}")), real(handle))
from services.credentials import keyring_file
from services.credentials.keyring import Keyring
for write in (keyring_file.create, keyring_file.replace):
    write(pathlib.Path({str(tmp_path / "keyring")!r}), Keyring.generate(bytes(range(32))))
print(*(pathlib.Path(each).name.split(".")[1:2] or ["directory"] for each in seen))
"""

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert found.stdout.strip() == "['keyring'] ['directory'] ['keyring'] ['directory']"


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    class Unwritable(Keyring):
        def dump(self) -> bytes:
            raise OSError(28, "No space left on device")

    keyring = Unwritable(list(FIRST))

    with pytest.raises(OSError, match="No space"):
        keyring_file.create(tmp_path / "keyring", keyring)

    assert names(tmp_path) == []


def test_a_keyring_that_is_not_there_or_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b" " * 100_000)
    large.chmod(0o600)

    for path, said in ((tmp_path / "none", "No such file"), (tmp_path, "cannot be read"), (large, "at most 65536")):
        with pytest.raises(KeyringInvalid, match=said) as caught:
            keyring_file.load(path)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("mode", "accepted"), [(0o400, True), (0o440, True), (0o444, True), (0o620, False), (0o602, False)]
)
def test_a_keyring_that_others_may_write_is_refused(tmp_path: Path, mode: int, accepted: bool) -> None:
    path = tmp_path / "keyring"
    path.write_bytes(FIRST.dump())
    path.chmod(mode)

    if accepted:
        assert keyring_file.load(path) == FIRST
    else:
        with pytest.raises(KeyringInvalid, match="can be written by others"):
            keyring_file.load(path)


def test_a_change_is_seen_once_also_when_kubernetes_swaps_a_link(tmp_path: Path) -> None:
    for name, keyring in (("..old", FIRST), ("..new", SECOND)):
        (tmp_path / name).mkdir()
        keyring_file.create(tmp_path / name / "keyring", keyring)
    data, path = tmp_path / "..data", tmp_path / "keyring"
    data.symlink_to("..old")
    path.symlink_to("..data/keyring")
    watch = KeyringWatch(path)
    assert watch.changed() is None

    (tmp_path / "..next").symlink_to("..new")
    (tmp_path / "..next").rename(data)

    assert watch.changed() == SECOND
    assert watch.changed() is None


def test_a_bad_keyring_is_complained_of_until_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    watch = KeyringWatch(path)

    path.write_bytes(b"{}")
    for _ in range(2):
        with pytest.raises(KeyringInvalid, match="`keys` is not a list"):
            watch.changed()
    path.unlink()
    with pytest.raises(KeyringInvalid, match="No such file"):
        watch.changed()
    keyring_file.create(path, SECOND)

    assert watch.changed() == SECOND


async def test_a_keyring_that_can_only_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="cannot be written"):
        await KeyringFile(tmp_path / "file" / "keyring").write(Keyring.generate(bytes(range(32))))


@pytest.mark.parametrize(
    ("user", "group", "mode", "accepted"),
    [(65532, 65532, 0o660, True), (65532, 65532, 0o662, False), (65532, 100, 0o660, False), (0, 0, 0o660, False)],
)
def test_a_claim_that_kubernetes_opened_to_the_pods_own_group_is_not_written_by_others(
    user: int, group: int, mode: int, accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    status = list(path.stat())
    status[0], status[5] = stat.S_IFREG | mode, group
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result(status))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setattr(os, "getegid", lambda: 100 if user == 65532 and group == 100 else user)

    if accepted:
        assert keyring_file.load(path) == FIRST
    else:
        with pytest.raises(KeyringInvalid, match="can be written by others"):
            keyring_file.load(path)


def test_a_keyring_in_a_mounted_secret_can_only_be_read(tmp_path: Path) -> None:
    MountedSecret(tmp_path / "secret", "keyring.json", FIRST.dump())
    keyring_file.create(tmp_path / "keyring.json", FIRST)

    assert KeyringFile(tmp_path / "secret" / "keyring.json").fixed
    assert not KeyringFile(tmp_path / "keyring.json").fixed
