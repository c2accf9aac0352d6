"""The three flows, every line of the table, without a clock, a socket or a person."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from services.chassis.secret import Secret
from services.credentials.errors import LoginFailed
from services.credentials.oauth import flows
from services.credentials.oauth.answers import CallFailed, Kind
from services.credentials.oauth.steps import Answer, Await, Invite, Look, Moment, NoAnswer, Pause, Reply, Tokens
from tests.support.oauth_flow import ADDRESSES, ATTEMPT, BIGMODEL, ZAI, Driven, answer, drive, zcode

PAGE = "https://login.test/page"
BEGUN = {"flow_id": "f/1", "authorize_url": PAGE, "expires_at": 1000.0 + 120, "poll_interval_sec": 3}
READY = zcode({"status": "ready", "token": "jwt", "zai": {"access_token": "at"}, "user": {"user_id": "u"}})
PENDING = zcode({"status": "pending"})


def at(steady: float) -> Moment:
    return Moment(1000.0 + steady, steady)


def polled(*replies: Reply, begun: object = BEGUN) -> Driven:
    return drive(flows.poll(ZAI, ADDRESSES, Secret("poll-token")), [zcode(begun), *replies])


def test_poll_invites_asks_until_ready_and_returns_the_tokens() -> None:
    driven = polled(at(0), None, at(0), PENDING, None, at(3), READY)

    assert driven.result == Tokens(access_token="at", start_plan_jwt="jwt", user_id="u")
    begin, first, second = driven.asks
    assert (begin.method, begin.url, begin.fields) == ("POST", ADDRESSES.init_url, {"provider": "zai"})
    assert begin.authorization == first.authorization == Secret("Bearer poll-token")
    assert (first.method, first.url, first.fields) == ("GET", f"{ADDRESSES.poll_url}/f%2F1", None)
    assert second == first
    assert driven[1:4] == [Look(), Invite(PAGE, 120.0), Look()]
    assert Pause(3) in driven


@pytest.mark.parametrize(
    "reply",
    [
        NoAnswer(sent=False, why="x"),
        NoAnswer(sent=True, why="x"),
        answer({}, 408),
        answer({}, 429),
        answer({}, 500),
        Answer(502, b"<html>"),
    ],
)
def test_poll_goes_on_after_trouble_that_passes(reply: Reply) -> None:
    assert isinstance(polled(at(0), None, at(0), reply, None, at(3), READY).result, Tokens)


@pytest.mark.parametrize(
    "reply",
    [
        answer({}, 400),
        answer({}, 401),
        answer({}, 404),
        answer({}, 302),
        Answer(200, b"<html>"),
        zcode({"status": "pending"}, code=5),
        zcode({"status": "elsewhere"}),
        zcode({}),
        zcode({"status": "ready"}),
    ],
)
def test_poll_stops_at_trouble_that_stays(reply: Reply) -> None:
    with pytest.raises(CallFailed):
        polled(at(0), None, at(0), reply)


def test_poll_stops_when_the_provider_says_failed() -> None:
    with pytest.raises(LoginFailed, match="refused"):
        polled(at(0), None, at(0), zcode({"status": "failed"}))


def test_poll_ends_with_what_the_provider_or_we_allow() -> None:
    with pytest.raises(LoginFailed, match="in time"):
        polled(at(0), None, at(120))
    with pytest.raises(LoginFailed, match="in time"):
        polled(at(0), None, at(0), PENDING, None, at(300), begun=BEGUN | {"expires_at": 99_999})


@pytest.mark.parametrize(
    ("expires_at", "patience"),
    [(1000.0 + 10, 10.0), (1000.0 + 900, 300.0), (990.0, 300.0), (None, 300.0), ("x", 300.0)],
)
def test_a_deadline_that_is_past_says_that_clocks_differ(expires_at: object, patience: float) -> None:
    driven = polled(at(0), None, at(0), READY, begun=BEGUN | {"expires_at": expires_at})

    assert driven[2] == Invite(PAGE, patience)


@pytest.mark.parametrize(("told", "kept"), [(0.1, 1.0), (60, 15.0), (None, 2.0), (-1, 2.0)])
def test_the_interval_is_clamped(told: object, kept: float) -> None:
    driven = polled(at(0), None, at(0), PENDING, None, at(1), READY, begun=BEGUN | {"poll_interval_sec": told})

    assert Pause(kept) in driven


def test_a_404_at_the_beginning_means_not_offered() -> None:
    with pytest.raises(CallFailed) as caught:
        drive(flows.poll(ZAI, ADDRESSES, Secret("x")), [answer({}, 404)])

    assert caught.value.kind is Kind.NOT_OFFERED


@pytest.mark.parametrize(
    "changed",
    [
        {"flow_id": None},
        {"flow_id": ".."},
        {"flow_id": "."},
        {"authorize_url": None},
        {"authorize_url": "/relative"},
        {"authorize_url": "http://login.test/plain"},
        {"authorize_url": "http://127.0.0.1/plain"},
        {"authorize_url": "javascript:alert(1)"},
        {"authorize_url": "https://"},
        {"authorize_url": "https://["},
    ],
)
def test_a_beginning_that_cannot_be_used_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(CallFailed, match="no usable"):
        polled(begun=BEGUN | changed)


@pytest.mark.parametrize(
    ("page", "init", "usable"),
    [
        ("http://127.0.0.1:8090/p", "http://127.0.0.1:8090/init", True),
        ("http://127.0.0.1:8091/p", "http://127.0.0.1:8090/init", True),
        ("http://evil.test/p", "http://127.0.0.1:8090/init", False),
        ("http://localhost/p", "http://127.0.0.1:8090/init", False),
        ("http://evil.test/p", "http://evil.test/init", False),
    ],
)
def test_plain_http_is_for_a_stand_in_on_this_machine(page: str, init: str, usable: bool) -> None:
    addresses = msgspec.structs.replace(ADDRESSES, init_url=init)
    flow = flows.poll(ZAI, addresses, Secret("x"))
    next(flow)
    if usable:
        assert flow.send(zcode(BEGUN | {"authorize_url": page})) == Look()
    else:
        with pytest.raises(CallFailed):
            flow.send(zcode(BEGUN | {"authorize_url": page}))


TOKENS = zcode({"zai": {"access_token": "at"}})


@pytest.mark.parametrize("way", [flows.loopback, flows.paste])
def test_a_login_with_a_code_invites_awaits_and_exchanges(way: type) -> None:
    driven = drive(way(ZAI, ADDRESSES, ATTEMPT), [None, "c0de", TOKENS])

    assert driven.result == Tokens(access_token="at")
    invite, awaited, ask = driven
    assert isinstance(invite, Invite)
    assert parse_qs(urlsplit(invite.url).query) == {
        "response_type": ["code"],
        "client_id": ["client_P8X5CMWmlaRO9gyO-KSqtg"],
        "redirect_uri": [ATTEMPT.redirect_uri],
        "state": ["the-state"],
    }
    assert invite.url.startswith("https://login.test/authorize?")
    assert isinstance(awaited, Await)
    assert (awaited.expected.address, awaited.expected.issuer) == (ATTEMPT.redirect_uri, "https://login.test")
    assert (awaited.seconds, awaited.expected.state) == (300.0, ATTEMPT.state)
    assert driven.asks == [ask]
    assert driven.asks[0].fields == {
        "provider": "zai",
        "code": "c0de",
        "redirect_uri": ATTEMPT.redirect_uri,
        "state": "the-state",
    }


def test_bigmodel_names_the_same_things_otherwise() -> None:
    url = flows.authorize_url(BIGMODEL, ADDRESSES, ATTEMPT)

    assert parse_qs(urlsplit(url).query) == {
        "appId": ["zcode"],
        "redirect": [ATTEMPT.redirect_uri],
        "state": ["the-state"],
    }


def test_pkce_is_s256_where_it_is_offered() -> None:
    """The pair is the one of RFC 7636, appendix B."""
    vendor = msgspec.structs.replace(ZAI, pkce=True)
    attempt = msgspec.structs.replace(ATTEMPT, verifier=Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))

    driven = drive(flows.loopback(vendor, ADDRESSES, attempt), [None, "c0de", TOKENS])

    assert isinstance(driven[0], Invite)
    query = parse_qs(urlsplit(driven[0].url).query)
    assert query["code_challenge"] == ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"]
    assert query["code_challenge_method"] == ["S256"]
    assert (driven.asks[0].fields or {})["code_verifier"] == attempt.verifier.reveal()


def test_the_query_of_a_redirect_address_is_no_part_of_what_is_compared() -> None:
    attempt = msgspec.structs.replace(ATTEMPT, redirect_uri="https://zcode.z.ai/app/oauth/login?redirect=x&v=1")

    assert flows.expected(ADDRESSES, attempt).address == "https://zcode.z.ai/app/oauth/login"


def test_nobody_coming_in_time_ends_the_login() -> None:
    with pytest.raises(LoginFailed, match="in time"):
        drive(flows.loopback(ZAI, ADDRESSES, ATTEMPT), [None, None])


@pytest.mark.parametrize("reply", [at(0), TOKENS])
def test_a_driver_that_answers_out_of_turn_is_a_fault_of_ours(reply: Reply) -> None:
    with pytest.raises(TypeError):
        drive(flows.loopback(ZAI, ADDRESSES, ATTEMPT), [None, reply])
    with pytest.raises(TypeError):
        drive(flows.poll(ZAI, ADDRESSES, Secret("x")), [zcode(BEGUN), "now"])
