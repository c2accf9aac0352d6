"""The tokens between our processes."""

import os
import stat
from pathlib import Path

import pytest

from services.chassis.peer.token_file import TokenFile, TokenFileInvalid, generate

ONE, TWO = "1" * 32, "2" * 40


def test_every_line_is_accepted_and_the_first_presented(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(f"{ONE}\n\n  {TWO}  \nshort\n")
    file = TokenFile(tmp_path / "t")

    assert (file.tokens, file.token) == ((ONE, TWO), ONE)


def test_a_change_is_seen_at_the_next_use(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text(ONE)
    file = TokenFile(path)
    assert file.token == ONE
    path.write_text(TWO)

    assert file.token == TWO


def test_a_link_that_is_swapped_is_a_change(tmp_path: Path) -> None:
    for name, token in (("a", ONE), ("b", ONE[::-1] + "x")):
        (tmp_path / name).write_text(token)
        os.utime(tmp_path / name, (1, 1))
    link = tmp_path / "link"
    link.symlink_to("a")
    file = TokenFile(link)
    first = file.token
    link.unlink()
    link.symlink_to("b")

    assert file.token != first


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"x" * 20_000, b"a b\x00" + b"c" * 40])
def test_a_file_without_a_token_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)

    with pytest.raises(TokenFileInvalid) as caught:
        _ = TokenFile(tmp_path / "t").token
    assert "ccc" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenFileInvalid, match=r"/t cannot be read"):
        _ = TokenFile(tmp_path / "t").tokens


def test_a_generated_token_is_good_kept_and_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "run" / "t"
    generate(path)
    first = TokenFile(path).token
    generate(path)

    assert TokenFile(path).token == first
    assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0
    assert [found.name for found in path.parent.iterdir()] == ["t"]
