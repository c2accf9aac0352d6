"""The page's headers (promises.md C14)."""

from services.captcha.page.headers import FIXED, NOTHING, policy, transport_security, widget_hosts


def test_the_policy_names_the_hosts_and_nothing_else() -> None:
    found = policy("abc", ("*.alicdn.com", "http://127.0.0.1:9"), allow_eval=False)

    assert found == (
        "default-src 'none'; script-src 'nonce-abc' https://*.alicdn.com http://127.0.0.1:9; "
        "connect-src 'self' https://*.alicdn.com http://127.0.0.1:9; "
        "img-src 'self' data: blob: https://*.alicdn.com http://127.0.0.1:9; "
        "style-src 'self' 'unsafe-inline' https://*.alicdn.com http://127.0.0.1:9; "
        "font-src data: https://*.alicdn.com http://127.0.0.1:9; "
        "media-src data: blob: https://*.alicdn.com http://127.0.0.1:9; "
        "frame-src https://*.alicdn.com http://127.0.0.1:9; worker-src blob:; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )


def test_code_is_evaluated_only_where_that_is_set() -> None:
    assert "unsafe-eval" not in policy("abc", (), allow_eval=False)
    assert "'unsafe-eval'" in policy("abc", (), allow_eval=True)
    assert "frame-src 'none'" in policy("abc", (), allow_eval=False)


def test_the_widgets_own_host_need_not_be_listed() -> None:
    assert widget_hosts(("*.alicdn.com",), "https://o.alicdn.com/x.js") == ("*.alicdn.com",)
    assert widget_hosts(("o.alicdn.com",), "https://o.alicdn.com/x.js") == ("o.alicdn.com",)
    assert widget_hosts(("*.alicdn.com",), "http://127.0.0.1:9/x.js") == ("*.alicdn.com", "http://127.0.0.1:9")
    assert widget_hosts(("*.alicdn.com",), "https://alicdn.com.evil/x.js")[-1] == "https://alicdn.com.evil"


def test_the_rest_never_changes() -> None:
    assert FIXED["x-frame-options"] == "DENY"
    assert FIXED["referrer-policy"] == "no-referrer"
    assert "camera=()" in FIXED["permissions-policy"]
    assert "frame-ancestors 'none'" in NOTHING
    assert transport_security("https://captcha.example.org") == {"strict-transport-security": "max-age=31536000"}
    assert transport_security("http://127.0.0.1:8082") == {}
