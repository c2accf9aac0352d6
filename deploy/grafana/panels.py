"""Rows of panels as Grafana reads them: each with its place, its queries and how it looks."""

from collections.abc import Iterator
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH = 24

# Title, unit, width, [(expression, legend)], and more of: kind (timeseries | stat | bargauge), description, max,
# steps (orange, red), runbook.
Panel = tuple[str, str, int, list[tuple[str, str]], dict[str, Any]]
# Title, and the panels from left to right.
Row = tuple[str, list[Panel]]


def panels(rows: list[Row]) -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for title, row in rows:
        yield {
            "type": "row",
            "id": number,
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
        }
        number, x, y = number + 1, 0, y + 1
        height = 4 if title == "At a glance" else 7
        for panel in row:
            if x + panel[2] > _WIDTH:
                x, y = 0, y + height
            yield _panel(number, panel, {"x": x, "y": y, "w": panel[2], "h": height})
            number, x = number + 1, x + panel[2]
        y += height


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    title, unit, _, queries, more = panel
    kind = more.get("kind", "timeseries")
    defaults: dict[str, Any] = {"unit": unit, "min": 0}
    if "max" in more:
        defaults["max"] = more["max"]
    if "steps" in more:
        colours = zip(("green", "orange", "red"), (None, *more["steps"]), strict=True)
        defaults["thresholds"] = {
            "mode": "absolute",
            "steps": [{"color": colour, "value": value} for colour, value in colours],
        }
        defaults["color"] = {"mode": "thresholds"}
    if kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 8, "lineWidth": 1, "showPoints": "never"}
    found: dict[str, Any] = {
        "id": number,
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "exemplar": kind == "timeseries",
            }
            for at, (expression, legend) in enumerate(queries)
        ],
    }
    if "description" in more:
        found["description"] = more["description"]
    if "runbook" in more:
        found["links"] = [
            {"title": f"Runbook: {more['runbook']}", "url": f"${{runbooks}}/{more['runbook']}.md", "targetBlank": True}
        ]
    return found


_REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, dict[str, Any]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {"reduceOptions": _REDUCE, "colorMode": "value", "graphMode": "area", "textMode": "auto"},
    "bargauge": {"reduceOptions": _REDUCE, "orientation": "horizontal", "displayMode": "lcd"},
}
