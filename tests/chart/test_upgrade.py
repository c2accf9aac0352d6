"""What the released chart made, the next one may be installed over: nothing changes that Kubernetes does not let change."""

from pathlib import Path
from typing import Any

import pytest

from tests.chart.rendering import APIS, CI, NEW, Refused, Rendered, render, template, values_of

RELEASED = sorted(Path(__file__).with_name("released").glob("zcode-proxy-*.tgz"))
# Fields that an update may not touch, by kind.
FIXED = {
    "Deployment": ("selector",),
    "StatefulSet": ("selector", "serviceName", "volumeClaimTemplates"),
    "Service": ("clusterIP",),
}
LATER = ("internalAuth", "internalTls")  # what the released chart does not know; it knew a shared token only
BEFORE = {"internalToken": {"existingSecret": "zcode-internal"}}


def fixed_fields(chart: Rendered) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (each["kind"], each["metadata"]["name"]): {field: each["spec"].get(field) for field in FIXED[each["kind"]]}
        for each in chart.objects
        if each["kind"] in FIXED
    }


@pytest.mark.promise("P-68")
@pytest.mark.parametrize("package", RELEASED, ids=lambda path: path.name)
@pytest.mark.parametrize("name", CI)
def test_an_upgrade_from_a_released_chart_changes_nothing_that_is_fixed(package: Path, name: str) -> None:
    known = {key: value for key, value in values_of(name).items() if key not in LATER} | BEFORE
    try:
        before = Rendered(template(known, kube=NEW, apis=APIS, chart=package))
    except Refused:
        return  # a feature that the released chart does not have yet
    old, new = fixed_fields(before), fixed_fields(render(name))

    assert {} == {key: (old[key], new[key]) for key in old.keys() & new.keys() if old[key] != new[key]}
    # What keeps state keeps its name.
    assert {key for key in old if key[0] == "StatefulSet"} <= new.keys()


def test_there_is_a_released_chart_to_compare_with() -> None:
    assert RELEASED
