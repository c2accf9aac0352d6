"""The panels about processes: how near each is to what it can carry."""

from expressions import NS, RATE, gauge, quantile, rate
from panels import Row

PROCESSES: list[Row] = [
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
