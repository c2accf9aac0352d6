"""What is written for people is what the code says."""

from pathlib import Path

from services.cli.config import reference_table
from services.gateway.settings import VARIABLES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_page_is_the_reference() -> None:
    """Renew it with: (head -4 docs/settings.md; zcode-proxy config reference)."""
    assert (DOCS / "settings.md").read_text().endswith(reference_table().rstrip("\n") + "\n")


def test_every_variable_is_on_the_settings_page() -> None:
    page = (DOCS / "settings.md").read_text()

    assert [] == [name for name in VARIABLES.names if f"`{name}`" not in page]
