"""The panels about accounts: what is left of the plan, credentials, the captcha."""

from expressions import NS, gauge, quantiles, rate
from panels import Row

LEFT = " / ".join(gauge(f"zcode_balance_{name}_units", "credential, balance") for name in ("remaining", "total"))
ACCOUNTS: list[Row] = [
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
]
