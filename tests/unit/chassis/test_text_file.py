"""A small text file that a setting names, and everything that may stand in its place."""

from pathlib import Path

import pytest

from services.chassis.text_file import read_text


def test_a_file_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffhällo".encode())

    assert "hällo" == read_text(str(tmp_path / "a"))


def test_the_home_directory_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert "x" == read_text("~/a")


def test_what_is_no_small_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")

    with pytest.raises(IsADirectoryError, match="is a directory"):
        read_text(str(tmp_path))
    with pytest.raises(OSError, match="larger than 1 MiB"):
        read_text(str(tmp_path / "large"))
    with pytest.raises(UnicodeDecodeError):
        read_text(str(tmp_path / "binary"))
    with pytest.raises(FileNotFoundError):
        read_text(str(tmp_path / "none"))
