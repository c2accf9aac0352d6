"""The identity headers are one table, and nothing of the client's enters but its checked session id."""

import uuid

import pytest

from services.gateway.identity import (
    CODEX_SESSION,
    SESSION_HEADERS,
    Platform,
    allowed_beta,
    client_session,
    ids_from,
    request_headers,
    static_headers,
    uuid4_of,
)

OURS = b"0190f3a2-7c1b-4d2e-8f3a-4b5c6d7e8f90"


def test_the_static_table_is_what_the_vendor_expects() -> None:
    headers = static_headers("3.2.2", "cli", "https://zcode.z.ai", Platform("linux-x64", "linux", "6.1.0"))

    assert {
        b"user-agent": b"ZCode/3.2.2",
        b"x-title": b"Z Code@cli",
        b"http-referer": b"https://zcode.z.ai",
        b"x-zcode-app-version": b"3.2.2",
        b"x-zcode-agent": b"glm",
        b"x-platform": b"linux-x64",
        b"x-os-category": b"linux",
        b"x-os-version": b"6.1.0",
    } == dict(headers)


def test_a_value_that_http_cannot_carry_leaves_its_header_out() -> None:
    headers = dict(static_headers("3.2\r\nx: y", "版", "https://zcode.z.ai", Platform("", "linux", "6")))

    assert b"user-agent" not in headers
    assert b"x-zcode-app-version" not in headers
    assert b"x-title" not in headers
    assert b"x-platform" not in headers


def test_session_and_query_ids_are_for_the_coding_plan_only() -> None:
    ids = ids_from(OURS, int.from_bytes(bytes(range(48))))

    coding = dict(request_headers(ids, coding_plan=True, session=None))
    start = dict(request_headers(ids, coding_plan=False, session=b"mine"))

    assert {b"x-request-id", b"x-zcode-trace-id", b"x-query-id", b"x-session-id"} == set(coding)
    assert ids.session == coding[b"x-session-id"]
    assert {b"x-request-id", b"x-zcode-trace-id"} == set(start)


def test_the_clients_own_session_id_wins() -> None:
    headers = dict(request_headers(ids_from(OURS, 0), coding_plan=True, session=b"mine"))

    assert b"mine" == headers[b"x-session-id"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({b"x-session-id": b"abc-1"}, b"abc-1"),
        ({b"x-claude-code-session-id": b"cc"}, b"cc"),
        ({b"x-opencode-session": b"oc"}, b"oc"),
        ({b"x-session-id": b"a b"}, None),
        ({b"x-session-id": b"a" * 129}, None),
        ({b"x-session-id": b"", b"x-opencode-session": b"oc"}, b"oc"),
    ],
)
def test_only_a_well_formed_session_id_travels(headers: dict[bytes, bytes], expected: bytes | None) -> None:
    assert expected == client_session(headers)


def test_a_dialect_may_have_names_of_its_own_for_a_session() -> None:
    headers = {b"session-id": b"codex-1"}

    assert client_session(headers) is None
    assert b"codex-1" == client_session(headers, (*SESSION_HEADERS, CODEX_SESSION))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"unknown-2099-01-01", None),
        (b"", None),
        (b"unknown, interleaved-thinking-2025-05-14 ,x", b"interleaved-thinking-2025-05-14"),
        (b"claude-code-20250219,context-1m-2025-08-07", b"claude-code-20250219,context-1m-2025-08-07"),
    ],
)
def test_only_listed_beta_values_travel(value: bytes | None, expected: bytes | None) -> None:
    assert expected == allowed_beta(value)


def test_uuids_are_version_4_of_rfc_9562_and_distinct() -> None:
    ids = ids_from(OURS, int.from_bytes(bytes(range(48))))

    parsed = [uuid.UUID(value.decode()) for value in (ids.request, ids.trace, ids.query, ids.session)]

    assert [4] * 4 == [value.version for value in parsed]
    assert {uuid.RFC_4122} == {value.variant for value in parsed}
    assert 4 == len(set(parsed))


@pytest.mark.parametrize("digit", "0123456789abcdef")
def test_every_variant_digit_is_legal(digit: str) -> None:
    value = uuid.UUID(uuid4_of(int("0" * 16 + digit + "0" * 15, 16)))

    assert uuid.RFC_4122 == value.variant
