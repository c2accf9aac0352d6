"""
Golden files: what a pure function makes of a file, kept next to it.

`pytest --update-golden` rewrites the expectations; the diff is then the review.
"""

from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent / "golden"


class Golden:
    """One case's directory, `tests/golden/<pair>/<case>`. Given by the `golden` fixture."""

    def __init__(self, *, update: bool, root: Path = ROOT) -> None:
        self._update = update
        self._root = root

    def cases(self, pair: str) -> list[str]:
        """Return the names of a pair's cases."""
        return cases(pair, self._root)

    def read(self, case: str, name: str) -> bytes:
        """Return a file of a case, `case` being `<pair>/<case>`."""
        return (self._root / case / name).read_bytes()

    def check_json(self, case: str, name: str, actual: bytes) -> None:
        """
        Compare a JSON text with the golden file.

        The file is indented for people, but order of keys and spelling of numbers count.
        """
        pretty = msgspec.json.format(actual, indent=2) + b"\n"
        self.check(case, name, pretty)

    def check(self, case: str, name: str, actual: bytes) -> None:
        """Compare bytes with the golden file."""
        path = self._root / case / name
        if self._update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(actual)
        expected = path.read_bytes() if path.exists() else b""
        assert expected.decode() == actual.decode(), f"{case}/{name} differs; --update-golden rewrites it"


def cases(pair: str, root: Path = ROOT) -> list[str]:
    """Return the names of a pair's cases, for `parametrize`."""
    return sorted(path.name for path in (root / pair).iterdir() if path.is_dir())
