"""
The three ways to log in, as generators that do nothing themselves: `login.py` carries their steps out. Pure.

    poll       a page of the provider's, and asking until a person has finished there: works from any machine
    loopback   the browser comes back to a listener on this machine
    paste      the browser ends at a page of the provider's, whose address the person pastes

    poll, state  event                                              next
    begin        answered with a page and a flow id                 pending
                 404                                                CallFailed(NOT_OFFERED)
    pending      pending; network error, 5xx, 408, 429              pause, pending
                 ready                                              tokens
                 failed, any other status, code or 4xx, no JSON     LoginFailed or CallFailed
                 the deadline                                       LoginFailed

A wrong or stray callback never reaches `loopback` and `paste`: their driver asks `callback.judge` and waits on.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from services.chassis.secret import Secret
from services.credentials.errors import LoginFailed
from services.credentials.oauth.answers import ZCODE_SUCCESS, CallFailed, Kind, call, missing, seconds, text
from services.credentials.oauth.exchange import exchange_code, read_tokens
from services.credentials.oauth.steps import Ask, Await, Expected, Flow, Invite, Look, Moment, Pause, Reply, Tokens
from services.credentials.oauth.vendors import POLL_PATH, Addresses, Vendor

PATIENCE: Final = 300.0  # seconds a person has
_SHORTEST, _LONGEST, _USUAL = 1.0, 15.0, 2.0  # seconds between two polls
_THIS_MACHINE: Final = ("127.0.0.1", "localhost", "::1")
_GO_ON: Final = (Kind.UNSENT, Kind.BUSY, Kind.LOST)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What is made anew for each attempt to log in with a code; 256 random bits each."""

    redirect_uri: str
    state: Secret
    verifier: Secret  # used where the provider offers PKCE


def poll(vendor: Vendor, addresses: Addresses, poll_token: Secret) -> Flow[Tokens]:
    """Log in without a callback (upstream.md 2.2). Raises CallFailed, LoginFailed."""
    authorization = Secret(f"Bearer {poll_token.reveal()}")
    what = "beginning the login"
    begun = yield from call(
        Ask(
            what=what,
            method="POST",
            url=addresses.init_url,
            authorization=authorization,
            fields={"provider": vendor.name},
        ),
        success=ZCODE_SUCCESS,
    )
    flow_id, url = text(begun, "flow_id"), text(begun, "authorize_url")
    if flow_id is None or flow_id in (".", ".."):
        raise missing(what, "flow_id")
    if url is None or not _is_safe_page(url, addresses.init_url):
        raise missing(what, "authorize_url")
    start = _moment((yield Look()))
    patience = _patience(seconds(begun, "expires_at"), start)
    yield Invite(url, patience)
    ask = Ask(
        what="asking how the login stands",
        method="GET",
        url=addresses.poll_url + POLL_PATH.format(flow_id=quote(flow_id, safe="")),
        authorization=authorization,
    )
    interval = min(max(seconds(begun, "poll_interval_sec") or _USUAL, _SHORTEST), _LONGEST)
    while _moment((yield Look())).steady - start.steady < patience:
        tokens = yield from _poll_once(vendor, ask)
        if tokens is not None:
            return tokens
        yield Pause(interval)
    raise LoginFailed("nobody finished the login in time; start it again")


def _poll_once(vendor: Vendor, ask: Ask) -> Flow[Tokens | None]:
    """Ask once; None while it is pending, or cannot be told."""
    try:
        found = yield from call(ask, success=ZCODE_SUCCESS)
    except CallFailed as failure:
        if failure.kind in _GO_ON:
            return None
        raise
    match text(found, "status"):
        case "pending":
            return None
        case "ready":
            return read_tokens(ask.what, vendor, found)
        case "failed":
            raise LoginFailed("the provider says that the login failed or was refused; start it again")
        case _:
            raise missing(ask.what, "status")


def loopback(vendor: Vendor, addresses: Addresses, attempt: Attempt) -> Flow[Tokens]:
    """Log in with a callback to this machine (upstream.md 2.1). Raises CallFailed, LoginFailed."""
    return (yield from _by_code(vendor, addresses, attempt))


def paste(vendor: Vendor, addresses: Addresses, attempt: Attempt) -> Flow[Tokens]:
    """Log in with an address that is pasted (upstream.md 2.3). Raises CallFailed, LoginFailed."""
    return (yield from _by_code(vendor, addresses, attempt))


def _by_code(vendor: Vendor, addresses: Addresses, attempt: Attempt) -> Flow[Tokens]:
    yield Invite(authorize_url(vendor, addresses, attempt), PATIENCE)
    code = yield Await(expected(addresses, attempt), PATIENCE)
    if code is None:
        raise LoginFailed("nobody finished the login in time; start it again")
    if not isinstance(code, str):
        raise TypeError(f"a callback is not {type(code).__name__}")
    return (
        yield from exchange_code(
            vendor,
            addresses,
            code=code,
            redirect_uri=attempt.redirect_uri,
            state=attempt.state.reveal(),
            verifier=attempt.verifier.reveal() if vendor.pkce else None,
        )
    )


def authorize_url(vendor: Vendor, addresses: Addresses, attempt: Attempt) -> str:
    """Return the page at which a person agrees."""
    fields = dict(vendor.authorize_fields)
    fields[vendor.redirect_field] = attempt.redirect_uri
    fields["state"] = attempt.state.reveal()
    if vendor.pkce:
        fields |= {"code_challenge": challenge(attempt.verifier), "code_challenge_method": "S256"}
    return f"{addresses.authorize_url}?{urlencode(fields)}"


def challenge(verifier: Secret) -> str:
    """Return the S256 challenge of a verifier (RFC 7636)."""
    return urlsafe_b64encode(sha256(verifier.reveal().encode()).digest()).rstrip(b"=").decode()


def expected(addresses: Addresses, attempt: Attempt) -> Expected:
    """Return what the right callback looks like."""
    redirect, page = urlsplit(attempt.redirect_uri), urlsplit(addresses.authorize_url)
    return Expected(
        address=f"{redirect.scheme}://{redirect.netloc}{redirect.path}",
        state=attempt.state,
        issuer=f"{page.scheme}://{page.netloc}",
    )


def _patience(expires_at: float | None, now: Moment) -> float:
    """
    Return how long to poll. The provider names an instant of its own clock; one that is past says that the clocks
    differ, for it would not hand out a flow that is over, and then it will say itself when it is.
    """
    left = PATIENCE if expires_at is None else expires_at - now.wall
    return min(PATIENCE, left) if left > 0 else PATIENCE


def _is_safe_page(url: str, init_url: str) -> bool:
    """Say whether a page may be opened: https, or plain http of this machine if the login itself is served from it."""
    try:
        page, origin = urlsplit(url), urlsplit(init_url)
    except ValueError:
        return False
    if page.scheme == "http" == origin.scheme:
        return page.hostname == origin.hostname and page.hostname in _THIS_MACHINE
    return page.scheme == "https" and bool(page.hostname)


def _moment(reply: Reply) -> Moment:
    if not isinstance(reply, Moment):
        raise TypeError(f"the time is not {type(reply).__name__}")
    return reply
