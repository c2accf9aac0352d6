"""What is written for people is what the code says."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli.app import app
from services.cli.config import reference_table
from services.cli.metrics import catalogue_page, families_of_services
from services.gateway.settings import VARIABLES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_page_is_the_reference() -> None:
    """Renew it with: (head -4 docs/settings.md; zcode-proxy config reference)."""
    assert (DOCS / "settings.md").read_text().endswith(reference_table().rstrip("\n") + "\n")


def test_every_variable_is_on_the_settings_page() -> None:
    page = (DOCS / "settings.md").read_text()

    assert [] == [name for name in VARIABLES.names if f"`{name}`" not in page]


def test_the_metrics_page_is_what_the_services_declare() -> None:
    """Renew it with: zcode-proxy metrics --page > docs/metrics.md."""
    assert catalogue_page() + "\n" == (DOCS / "metrics.md").read_text()


def test_every_metric_is_named_once_explained_and_in_base_units() -> None:
    families = [family for service in families_of_services().values() for family in service]

    assert len(families) == len({family.shown for family in families})
    assert [] == [family.name for family in families if not family.help.endswith(".")]
    assert [] == [family.name for family in families if family.unit in ("milliseconds", "minutes", "kilobytes")]
    assert [] == [
        family.name
        for family in families
        if family.unit in ("seconds", "bytes")
        and not family.name.endswith(f"_{family.unit}")
        and family.kind != "counter"
    ]


def typed(page: Path) -> list[list[str]]:
    """Return the commands of a page's blocks as words, without the program's name."""
    found, inside = [], False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = not inside
        words = shlex.split(line, comments=True) if inside and "zcode-proxy " in line else []
        if words and Path(words[0]).name == "zcode-proxy":
            found.append(words[1:])
    return found


PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize(("page", "words"), [(page.name, words) for page in PAGES for words in typed(page)])
def test_every_command_on_a_page_can_be_typed(page: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    left = list(words)
    while hasattr(command, "commands"):
        assert left, f"{page}: {words} is no command"
        name = left.pop(0)
        assert name in command.commands, f"{page}: there is no command {name}"
        command = command.commands[name]
    with command.make_context(command.name, left):
        pass  # it takes these arguments, or make_context raises


def test_what_the_page_of_promises_names_is_there() -> None:
    """Every test file that it names exists, each promise of its tables has a marked test, and each that is marked a row."""
    page = (DOCS / "promises.md").read_text()
    tests = DOCS.parent / "tests"
    named = re.findall(r"`((?:chart|component|contract|rules|system|unit)/[\w*/]+\.py)`", page)
    marked = set(re.findall(r'promise\("(P-\w+)"\)', "".join(path.read_text() for path in tests.rglob("test_*.py"))))
    listed = set(re.findall(r"^\| (P-\w+) ", page, re.MULTILINE))

    assert len(named) > 20
    assert [] == [name for name in named if not list(tests.glob(name))]
    assert [] == sorted(listed - marked)
    assert [] == sorted(marked - listed)
