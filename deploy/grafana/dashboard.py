"""
Makes the Grafana dashboard: `python deploy/grafana/dashboard.py > helm/zcode-proxy/dashboards/zcode-proxy.json`.

One line here is one panel there. `tests/rules/test_names.py` holds it against what the services export: a panel that
names a metric nobody exports fails, and so does a metric without a panel.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

UID = "zcode-proxy"
NS = 'namespace=~"$namespace"'
RATE = "$__rate_interval"
MODEL = "gen_ai_request_model"

_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Title, unit, width, [(expression, legend)], and more of: kind (timeseries | stat | bargauge), description, max,
# steps (orange, red), runbook.
Panel = tuple[str, str, int, list[tuple[str, str]], dict[str, Any]]


def rate(metric: str, by: str = "", where: str = "") -> str:
    labels = f"{NS}, {where}" if where else NS
    return f"sum {f'by ({by}) ' if by else ''}(rate({metric}{{{labels}}}[{RATE}]))"


def quantile(share: float, metric: str, by: str = "", where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le', where)})"


def quantiles(metric: str) -> list[tuple[str, str]]:
    return [(quantile(share, metric), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)]


def gauge(metric: str, by: str, how: str = "max") -> str:
    return f"{how} by ({by}) ({metric}{{{NS}}})"


ALL = rate("zcode_requests_total")
FAILED = rate("zcode_requests_total", where='status_class="5xx"')
ERRORS = f"({FAILED} or 0 * {ALL}) / {ALL}"  # nought where nothing has ever failed
TOKENS = "gen_ai_client_token_usage_sum"
HITS = " / ".join(rate(TOKENS, where=f"gen_ai_token_type{kinds}") for kinds in ('="cached"', '=~"cached|input"'))
LEFT = " / ".join(gauge(f"zcode_balance_{name}_units", "credential, balance") for name in ("remaining", "total"))
ROWS: list[tuple[str, list[Panel]]] = [
    (
        "At a glance",
        [
            (
                "Gateways",
                "none",
                3,
                [(f'count(zcode_build_info{{{NS}, service="gateway"}})', "")],
                {"kind": "stat", "runbook": "down"},
            ),
            ("Requests", "reqps", 3, [(rate("zcode_requests_total"), "")], {"kind": "stat"}),
            (
                "Failing",
                "percentunit",
                3,
                [(ERRORS, "")],
                {"kind": "stat", "steps": (0.01, 0.05), "runbook": "error-budget"},
            ),
            ("Streams now", "none", 3, [(f"sum(zcode_streams_open{{{NS}}})", "")], {"kind": "stat"}),
            (
                "First token, p95",
                "s",
                3,
                [(quantile(0.95, "gen_ai_server_time_to_first_token_seconds"), "")],
                {"kind": "stat"},
            ),
            (
                "Output",
                "cps",
                3,
                [(rate(TOKENS, where='gen_ai_token_type="output"'), "")],
                {"kind": "stat", "description": "Tokens a second."},
            ),
            (
                "Plan used, worst window",
                "percentunit",
                3,
                [(f"max(zcode_quota_used_ratio{{{NS}}})", "")],
                {"kind": "stat", "steps": (0.75, 0.9), "runbook": "quota-low"},
            ),
            (
                "Credentials that need a person",
                "none",
                3,
                [(f'sum(zcode_credentials{{{NS}, state=~"login_required|disabled"}})', "")],
                {"kind": "stat", "steps": (1, 1), "runbook": "login-required"},
            ),
        ],
    ),
    (
        "Traffic",
        [
            (
                "Requests by status",
                "reqps",
                8,
                [(rate("zcode_requests_total", "status_class"), "{{status_class}}")],
                {},
            ),
            ("Requests by model", "reqps", 8, [(rate("zcode_requests_total", "model"), "{{model}}")], {}),
            (
                "Requests by route",
                "reqps",
                8,
                [(rate("zcode_requests_total", "route, plan"), "{{route}} {{plan}}")],
                {},
            ),
            (
                "Answers of the upstream that are errors",
                "reqps",
                8,
                [(rate("zcode_requests_total", "upstream_code", 'upstream_code!=""'), "{{upstream_code}}")],
                {"runbook": "upstream-errors"},
            ),
            (
                "Failures by our code",
                "reqps",
                8,
                [(rate("zcode_request_failures_total", "code"), "{{code}}")],
                {"runbook": "error-budget"},
            ),
            (
                "Retries, clients that left, hints dropped",
                "reqps",
                8,
                [
                    (rate("zcode_upstream_retries_total"), "retries"),
                    (rate("zcode_requests_abandoned_total"), "left"),
                    (rate("zcode_translation_dropped_params_total"), "dropped"),
                ],
                {},
            ),
            (
                "Errors, share of all, by window",
                "percentunit",
                24,
                [(f"zcode:error_ratio:rate{window}{{{NS}}}", window) for window in ("5m", "30m", "1h", "6h")],
                {"runbook": "error-budget", "description": "Recorded by the alert rules; the objective is 1 %."},
            ),
        ],
    ),
    (
        "Latency: where the time goes",
        [
            ("First token", "s", 6, quantiles("gen_ai_server_time_to_first_token_seconds"), {}),
            (
                "Waiting for a place",
                "s",
                6,
                quantiles("zcode_queue_seconds"),
                {"description": "Of requests that had to wait.", "runbook": "saturated"},
            ),
            ("Ours: this process, before the first byte", "s", 6, quantiles("zcode_overhead_seconds"), {}),
            ("The upstream's: until the head of its answer", "s", 6, quantiles("zcode_upstream_response_seconds"), {}),
            ("The stream: first byte to last", "s", 6, quantiles("zcode_answer_seconds"), {}),
            ("Between two tokens", "s", 6, quantiles("gen_ai_server_time_per_output_token_seconds"), {}),
            ("Whole request", "s", 6, quantiles("gen_ai_client_operation_duration_seconds"), {}),
            (
                "First token by model, p95",
                "s",
                6,
                [(quantile(0.95, "gen_ai_server_time_to_first_token_seconds", MODEL), f"{{{{{MODEL}}}}}")],
                {},
            ),
        ],
    ),
    (
        "Tokens",
        [
            (
                "Tokens by kind",
                "cps",
                8,
                [(rate(TOKENS, "gen_ai_token_type"), "{{gen_ai_token_type}}")],
                {"description": "Tokens a second. Reasoning is part of output."},
            ),
            (
                "Output tokens by model",
                "cps",
                8,
                [(rate(TOKENS, MODEL, 'gen_ai_token_type="output"'), f"{{{{{MODEL}}}}}")],
                {},
            ),
            ("Read from the cache, share of the input", "percentunit", 8, [(HITS, "hits")], {"max": 1}),
            (
                "Usage written down",
                "reqps",
                24,
                [(rate("zcode_usage_writes_total", "outcome"), "{{outcome}}")],
                {"runbook": "store-away"},
            ),
        ],
    ),
    (
        "Plan",
        [
            (
                "Used",
                "percentunit",
                8,
                [(gauge("zcode_quota_used_ratio", "provider, credential, window"), "{{provider}} {{window}}")],
                {"kind": "bargauge", "max": 1, "steps": (0.75, 0.9), "runbook": "quota-low"},
            ),
            (
                "Used, over time",
                "percentunit",
                8,
                [(gauge("zcode_quota_used_ratio", "provider, credential, window"), "{{provider}} {{window}}")],
                {"max": 1},
            ),
            (
                "Burn rate, share of the window an hour",
                "percentunit",
                8,
                [
                    (
                        f"max by (provider, credential, window) (deriv(zcode_quota_used_ratio{{{NS}}}[30m]) * 3600)",
                        "{{provider}} {{window}}",
                    )
                ],
                {},
            ),
            (
                "Begins anew in",
                "s",
                8,
                [
                    (
                        f"{gauge('zcode_quota_reset_timestamp_seconds', 'provider, credential, window')} - time()",
                        "{{provider}} {{window}}",
                    )
                ],
                {"kind": "stat"},
            ),
            (
                "Balance left",
                "percentunit",
                8,
                [
                    (
                        LEFT,
                        "{{balance}}",
                    )
                ],
                {"kind": "bargauge", "max": 1},
            ),
            (
                "Age of what is known, and what became of questions",
                "s",
                8,
                [
                    (f"time() - {gauge('zcode_quota_read_timestamp_seconds', 'provider')}", "age {{provider}}"),
                    (rate("zcode_quota_polls_total", "outcome"), "{{outcome}} a second"),
                ],
                {"runbook": "quota-unknown"},
            ),
        ],
    ),
    (
        "Credentials",
        [
            (
                "By state",
                "none",
                8,
                [(gauge("zcode_credentials", "provider, state"), "{{provider}} {{state}}")],
                {"runbook": "login-required"},
            ),
            (
                "Events",
                "reqps",
                8,
                [(rate("zcode_credential_events_total", "event"), "{{event}}")],
                {"runbook": "refresh-fails"},
            ),
            (
                "Records that do not open",
                "none",
                8,
                [(f"sum by (kind, why) (zcode_undecryptable_records_total{{{NS}}})", "{{kind}} {{why}}")],
                {"runbook": "records-do-not-open"},
            ),
            (
                "Secrets: age",
                "s",
                8,
                [
                    (
                        f"time() - {gauge('zcode_credential_rotated_timestamp_seconds', 'provider', 'min')}",
                        "{{provider}}",
                    )
                ],
                {"kind": "stat", "runbook": "secret-old"},
            ),
            (
                "Secrets: time left",
                "s",
                8,
                [(f"{gauge('zcode_credential_expiry_timestamp_seconds', 'provider', 'min')} - time()", "{{provider}}")],
                {"kind": "stat", "runbook": "refresh-fails"},
            ),
            (
                "Certificates: time left",
                "s",
                8,
                [(f"{gauge('zcode_certificate_expiry_timestamp_seconds', 'file', 'min')} - time()", "{{file}}")],
                {"kind": "stat", "runbook": "certificate-ends"},
            ),
            (
                "Keys of callers' tokens: age",
                "s",
                8,
                [(f"time() - {gauge('zcode_issuer_keys_read_timestamp_seconds', 'pod', 'min')}", "{{pod}}")],
                {"kind": "stat", "runbook": "issuer-keys-old"},
            ),
        ],
    ),
    (
        "Captcha",
        [
            (
                "Tokens banked, requests that wait",
                "none",
                6,
                [
                    (gauge("zcode_captcha_bank", "provider"), "banked {{provider}}"),
                    (gauge("zcode_captcha_waiting", "provider"), "waiting {{provider}}"),
                ],
                {"runbook": "captcha"},
            ),
            ("Requests for a token, by end", "reqps", 6, [(rate("zcode_captcha_answers_total", "end"), "{{end}}")], {}),
            ("Wait for a person", "s", 6, quantiles("zcode_captcha_wait_seconds"), {}),
            (
                "At the provider, on the page",
                "reqps",
                6,
                [
                    (rate("zcode_captcha_outcomes_total", "outcome"), "{{outcome}}"),
                    (rate("zcode_captcha_page_events_total", "event"), "page {{event}}"),
                ],
                {},
            ),
            (
                "Where the configuration comes from",
                "none",
                24,
                [(gauge("zcode_captcha_config", "source"), "{{source}}")],
                {},
            ),
        ],
    ),
    (
        "Saturation",
        [
            (
                "Places taken",
                "percentunit",
                6,
                [
                    (
                        f"max by (instance) (zcode_requests_in_flight{{{NS}}} / zcode_request_slots{{{NS}}})",
                        "{{instance}}",
                    )
                ],
                {"max": 1, "runbook": "saturated"},
            ),
            (
                "Requests that wait",
                "none",
                6,
                [
                    (gauge("zcode_requests_waiting", "instance"), "{{instance}}"),
                    (gauge("zcode_upstream_waiting", "instance"), "for the upstream's limit {{instance}}"),
                ],
                {},
            ),
            ("Streams", "none", 6, [(gauge("zcode_streams_open", "instance"), "{{instance}}")], {}),
            (
                "Connections to the upstream",
                "none",
                6,
                [(gauge("zcode_upstream_connections", "state", "sum"), "{{state}}")],
                {},
            ),
            (
                "The upstream's limits, as found out",
                "none",
                6,
                [(gauge("zcode_upstream_concurrency_limit", "credential, model", "min"), "{{model}}")],
                {},
            ),
            (
                "Circuits: 0 closed, 1 probing, 2 open",
                "none",
                6,
                [(gauge("zcode_breaker_state", "kind, name"), "{{kind}} {{name}}")],
                {"max": 2, "runbook": "upstream-errors"},
            ),
            (
                "Event loop is late, p99",
                "s",
                6,
                [(quantile(0.99, "zcode_event_loop_lag_seconds", "instance"), "{{instance}}")],
                {"runbook": "event-loop"},
            ),
            (
                "Spans",
                "cps",
                6,
                [(rate("zcode_trace_spans_total", "outcome"), "{{outcome}}")],
                {"runbook": "traces-lost"},
            ),
            (
                "Processor",
                "percentunit",
                6,
                [
                    (
                        f"rate(process_cpu_seconds_total{{{NS}}}[{RATE}]) and on (job, instance) zcode_build_info",
                        "{{instance}}",
                    )
                ],
                {},
            ),
            (
                "Memory",
                "bytes",
                6,
                [
                    (
                        f"process_{kind}_memory_bytes{{{NS}}} and on (job, instance) zcode_build_info",
                        f"{kind} {{{{instance}}}}",
                    )
                    for kind in ("resident", "virtual")
                ],
                {"runbook": "memory"},
            ),
            (
                "Open files, share",
                "percentunit",
                6,
                [
                    (
                        f"process_open_fds{{{NS}}} / process_max_fds{{{NS}}} and on (job, instance) zcode_build_info",
                        "{{instance}}",
                    )
                ],
                {},
            ),
            (
                "Configuration: 1 in order, 0 a change was refused; a restart is needed",
                "none",
                6,
                [
                    (gauge("zcode_config_reload_success", "instance", "min"), "in order {{instance}}"),
                    (gauge("zcode_config_restart_needed", "instance"), "restart needed {{instance}}"),
                ],
                {"max": 1, "runbook": "configuration"},
            ),
            (
                "Up for",
                "s",
                6,
                [
                    (
                        f"time() - process_start_time_seconds{{{NS}}} and on (job, instance) zcode_build_info",
                        "{{instance}}",
                    )
                ],
                {"kind": "stat"},
            ),
        ],
    ),
]


def panels() -> Iterator[dict[str, Any]]:
    number, y = 1, 0
    for title, row in ROWS:
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
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[kind],
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": _SOURCE,
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


def dashboard() -> dict[str, Any]:
    """Return the whole of it."""
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "namespace",
            "type": "query",
            "label": "Namespace",
            "datasource": _SOURCE,
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
        "panels": list(panels()),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n")
