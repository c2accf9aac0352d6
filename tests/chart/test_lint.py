"""Rung 1: helm's own opinion of every values file, and that what is made from values.yaml is up to date."""

import pytest

from tests.chart import reference
from tests.chart.rendering import CHART, CI, Refused, run_helm


@pytest.mark.parametrize("name", CI)
def test_helm_finds_no_fault_with_any_feature(name: str) -> None:
    run_helm(["lint", "--strict", str(CHART), "-f", str(CHART / "ci" / f"{name}-values.yaml")])


def test_the_schema_is_what_the_values_say() -> None:
    assert reference.SCHEMA.read_text() == reference.schema(), "run: make chart-reference"


def test_the_readme_lists_every_value() -> None:
    assert reference.README.read_text() == reference.readme(reference.README.read_text()), "run: make chart-reference"


def test_the_chart_packs_and_renders_from_its_package(tmp_path) -> None:
    run_helm(["package", str(CHART), "-d", str(tmp_path)])
    (package,) = tmp_path.glob("*.tgz")

    values = str(CHART / "ci" / "key-only-values.yaml")
    assert "kind: Deployment" in run_helm(["template", "rel", str(package), "-f", values])


def test_the_defaults_alone_say_what_is_missing() -> None:
    with pytest.raises(Refused, match=r"(?s)keyring.existingSecret is missing.*store.url is missing"):
        run_helm(["template", "rel", str(CHART)])
