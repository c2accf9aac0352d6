"""
Makes the Grafana dashboard: `python deploy/grafana/dashboard.py > helm/zcode-proxy/dashboards/zcode-proxy.json`.

One entry of the rows in the files beside it is one panel there. `tests/rules/test_names.py` holds it against what the
services export: a panel that names a metric nobody exports fails, and so does a metric without a panel.
"""

import json
import sys
from typing import Any

from accounts_rows import ACCOUNTS
from panels import SOURCE, panels
from processes_rows import PROCESSES
from requests_rows import REQUESTS

UID = "zcode-proxy"


def dashboard() -> dict[str, Any]:
    """Return the whole of it."""
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "namespace",
            "type": "query",
            "label": "Namespace",
            "datasource": SOURCE,
            "query": {"query": "label_values(zcode_build_info, namespace)", "refId": "namespace"},
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
            "refresh": 2,
        },
        {"name": "runbooks", "type": "constant", "query": "docs/runbooks", "hide": 2, "label": "Where runbooks are"},
    ]
    return {
        "uid": UID,
        "title": "zcode-proxy",
        "description": "Is it up, who uses it, what is slow, what is left of the plan, what is about to break.",
        "tags": ["zcode-proxy", "llm"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": []},
        "panels": list(panels([*REQUESTS, *ACCOUNTS, *PROCESSES])),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n")
