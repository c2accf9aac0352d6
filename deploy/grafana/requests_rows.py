"""The panels about requests: at a glance, traffic, latency, tokens."""

from expressions import MODEL, NS, quantile, quantiles, rate
from panels import Row

ALL = rate("zcode_requests_total")
FAILED = rate("zcode_requests_total", where='status_class="5xx"')
ERRORS = f"({FAILED} or 0 * {ALL}) / {ALL}"  # nought where nothing has ever failed
TOKENS = "gen_ai_client_token_usage_sum"
HITS = " / ".join(rate(TOKENS, where=f"gen_ai_token_type{kinds}") for kinds in ('="cached"', '=~"cached|input"'))
REQUESTS: list[Row] = [
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
]
