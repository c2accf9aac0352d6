"""The defaults are promises.md C7 with design.md section 6."""

from services.chassis.http_guard.limits import GuardLimits, Refusal


def test_defaults() -> None:
    limits = GuardLimits()

    assert (limits.connections, limits.request_line, limits.headers, limits.header_count) == (2000, 8192, 32768, 100)
    assert (limits.header_seconds, limits.keep_alive, limits.write_stall) == (10, 75, 30)
    assert (limits.body, limits.other_body) == (32 * 2**20, 64 * 2**10)
    assert (limits.body_grace_seconds, limits.body_rate, limits.body_seconds) == (30, 16 * 2**10, 120)


def test_a_refusal_is_what_the_client_is_told() -> None:
    refusal = Refusal(413, "too large")

    assert (refusal.status, refusal.message, str(refusal)) == (413, "too large", "too large")
