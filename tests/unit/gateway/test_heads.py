"""Headers across the gateway are allow-lists in both directions."""

import re

import msgspec
import pytest

from services.chassis.secret import Secret
from services.gateway.call import ClientCall
from services.gateway.guard import ANONYMOUS
from services.gateway.heads import fixed_headers, passed_back, request_headers_for, upstream_request_id
from services.gateway.leases import Lease
from services.gateway.providers import routes_of
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.wire.formats import WireFormat

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
_LEASE = Lease("c", Secret("id.secret"))
_IDENTITY = ((b"user-agent", b"ZCode/1"),)


def _route(fmt: WireFormat, plan: Plan = Plan.CODING) -> UpstreamRoute:
    return routes_of("zai", plan, {fmt: "https://up.example"})[fmt]


_CALL = ClientCall(
    format=OPENAI,
    caller=ANONYMOUS,
    body=b"{}",
    model="m",
    stream=False,
    include_usage=False,
    accept_encoding=None,
    beta=None,
    session=None,
    request_id=b"0190f3a2-7c1b-4d2e-8f3a-4b5c6d7e8f90",
    head=(),
)


def _sent(route: UpstreamRoute, **fields: object) -> dict[bytes, bytes]:
    own = request_headers_for(msgspec.structs.replace(_CALL, **fields), route, _LEASE)
    pairs = (*fixed_headers(route, _IDENTITY).pairs, *own)
    assert len(pairs) == len({name for name, _ in pairs})
    return dict(pairs)


@pytest.mark.parametrize(
    ("fmt", "plan", "credential"),
    [
        (OPENAI, Plan.CODING, (b"authorization", b"Bearer id.secret")),
        (ANTHROPIC, Plan.CODING, (b"x-api-key", b"id.secret")),
        (OPENAI, Plan.START, (b"authorization", b"Bearer id.secret")),
        (ANTHROPIC, Plan.START, (b"authorization", b"Bearer id.secret")),
    ],
)
def test_the_credential_goes_where_the_route_wants_it(
    fmt: WireFormat, plan: Plan, credential: tuple[bytes, bytes]
) -> None:
    headers = _sent(_route(fmt, plan))

    assert credential[1] == headers.pop(credential[0])
    assert {b"authorization", b"x-api-key"}.isdisjoint(headers)
    assert (b"2023-06-01" if fmt is ANTHROPIC else None) == headers.get(b"anthropic-version")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_accepted_says_whether_a_stream_is_wanted(stream: bool) -> None:
    headers = _sent(_route(OPENAI), stream=stream)

    assert (b"text/event-stream" if stream else b"application/json") == headers[b"accept"]
    assert b"application/json" == headers[b"content-type"]
    assert b"ZCode/1" == headers[b"user-agent"]


@pytest.mark.parametrize(
    ("route", "stream", "accepted", "travels"),
    [
        (OPENAI, False, b"gzip, br;q=0.5, *;q=0", b"gzip, br;q=0.5, *;q=0"),
        (OPENAI, False, None, b"identity"),
        (OPENAI, True, b"gzip", b"identity"),  # repairs read events
        (ANTHROPIC, False, b"gzip", b"identity"),  # a translation reads the answer
    ],
)
def test_the_clients_codings_travel_where_the_answer_is_passed_on(
    route: WireFormat, stream: bool, accepted: bytes | None, travels: bytes
) -> None:
    assert travels == _sent(_route(route), stream=stream, accept_encoding=accepted)[b"accept-encoding"]


def test_betas_go_to_anthropics_format_only() -> None:
    assert b"b1" == _sent(_route(ANTHROPIC), beta=b"b1")[b"anthropic-beta"]
    assert b"anthropic-beta" not in _sent(_route(ANTHROPIC))
    assert b"anthropic-beta" not in _sent(_route(OPENAI), beta=b"b1")


def test_ids_are_fresh_but_a_clients_session_is_kept() -> None:
    first, second = _sent(_route(OPENAI)), _sent(_route(OPENAI), session=b"mine")

    assert _CALL.request_id == first[b"x-request-id"] == second[b"x-request-id"]  # the one that the client is told
    for name in (b"x-zcode-trace-id", b"x-query-id", b"x-session-id"):
        assert re.fullmatch(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first[name])
        assert first[name] != second[name]
    assert b"mine" == second[b"x-session-id"]


def test_the_start_plan_is_told_of_no_session() -> None:
    assert {b"x-query-id", b"x-session-id"}.isdisjoint(_sent(_route(OPENAI, Plan.START), session=b"mine"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"x-log-id", b"l")], b"l"),
        ([(b"request-id", b"r"), (b"x-log-id", b"l")], b"r"),
        ([(b"x-log-id", b"l"), (b"request-id", b"r"), (b"x-request-id", b"x")], b"x"),
    ],
)
def test_the_upstreams_id_is_found_under_any_of_its_names(
    headers: list[tuple[bytes, bytes]], expected: bytes | None
) -> None:
    assert expected == upstream_request_id(dict(headers))


def test_only_what_clients_act_on_comes_back() -> None:
    kept = [
        (b"retry-after", b"1"),
        (b"retry-after-ms", b"1"),
        (b"openai-version", b"1"),
        (b"x-ratelimit-limit-requests", b"1"),
        (b"anthropic-ratelimit-tokens-reset", b"1"),
    ]
    dropped = [(b"set-cookie", b"1"), (b"server", b"1"), (b"location", b"1"), (b"x-ratelimited", b"1"), (b"via", b"1")]

    assert kept == passed_back([*dropped, *kept, *dropped])
