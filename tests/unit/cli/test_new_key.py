"""What counts as a key that a person gives."""

from pathlib import Path

import pytest
import typer

from services.cli.new_key import new_key


@pytest.mark.parametrize("given", ["id.secret-of-it", "  id.secret-of-it\n", "\ufeffid.secret-of-it"])
def test_a_key_is_taken_without_what_stands_around_it(tmp_path: Path, given: str) -> None:
    (tmp_path / "key").write_text(given)

    assert new_key(tmp_path / "key").reveal() == "id.secret-of-it"


@pytest.mark.parametrize(
    "given", ["", "\n", "short", "with a space in it", "two\nlines-of-it", "ключ-ключ-ключ", "\x7f" * 9, "k" * 4097]
)
def test_what_is_no_key_is_refused(tmp_path: Path, given: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "key").write_text(given)
    with pytest.raises(typer.Exit) as left:
        new_key(tmp_path / "key")

    assert left.value.exit_code == 2
    assert "that is no key" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left:
        new_key(tmp_path / "nowhere")

    assert left.value.exit_code == 2
    assert "cannot be read: No such file" in " ".join(capsys.readouterr().err.split())
