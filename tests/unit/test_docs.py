"""What is written for people is what the code says."""

from pathlib import Path

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
