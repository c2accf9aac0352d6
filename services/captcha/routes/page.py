"""
The page `/captcha` and what its script calls.

    GET  /captcha                     the page; says nothing before a session is there
    GET  /captcha/page.css, page.js
    POST /captcha/session {link}      a one-time link becomes a session cookie
    GET  /captcha/state               the state and a ticket for the next post
    GET  /captcha/events              the state, whenever it changes (server-sent events)
    POST /captcha/tokens {account, param, how}   a token that the person produced
    POST /captcha/troubles {account, kind}       the widget failed; counted
"""

import logging
import secrets
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.response import Stream

from services.captcha.banks.port import Bank
from services.captcha.contract import Captcha
from services.captcha.metrics import CaptchaMetrics
from services.captcha.page import assets
from services.captcha.page.gate import Gate, PageRefused
from services.captcha.page.headers import policy
from services.captcha.page.view import State, View
from services.captcha.passes import Pass

LONGEST_PARAM: Final = 8192  # characters; the provider's are about 280

_AnyRequest = Request[Any, Any, Any]
_log = logging.getLogger(__name__)


class PageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the page is told about the provider's widget."""

    hosts: tuple[str, ...]
    allow_eval: bool
    sdk_url: str
    sdk_load_ms: int
    region: str  # of a pasted token while the provider's configuration is unknown


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that the routes below share."""

    settings: PageSettings
    gate: Gate
    view: View
    bank: Bank
    metrics: CaptchaMetrics


class _Link(msgspec.Struct, forbid_unknown_fields=True):
    link: str


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    param: str
    how: Literal["widget", "paste"] = "widget"


class _Trouble(msgspec.Struct, forbid_unknown_fields=True):
    account: str
    kind: Literal["load", "blocked", "error", "F001", "F008", "F014", "F019", "fail"]


class _Told(msgspec.Struct, rename="camel"):
    """The answer that the script gets: what is new, and the ticket for its next post."""

    state: State
    ticket: str
    sdk_url: str
    sdk_load_ms: int


@get("/captcha", sync_to_thread=False)
def document(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Serve the page itself."""
    page.gate.check_host(request.scope, request.headers)
    nonce = secrets.token_urlsafe(18)
    csp = policy(nonce, page.settings.hosts, allow_eval=page.settings.allow_eval)
    return Response(
        assets.document(nonce), media_type="text/html; charset=utf-8", headers={"content-security-policy": csp}
    )


@get("/captcha/page.css", sync_to_thread=False)
def styles(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Serve the style sheet."""
    page.gate.check_host(request.scope, request.headers)
    return Response(assets.STYLES, media_type="text/css; charset=utf-8")


@get("/captcha/page.js", sync_to_thread=False)
def script(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Serve the script."""
    page.gate.check_host(request.scope, request.headers)
    return Response(assets.SCRIPT, media_type="text/javascript; charset=utf-8")


@post("/captcha/session", status_code=204)
async def sign_in(request: _AnyRequest, page: NamedDependency[Page]) -> Response[None]:
    """Turn a one-time link into a session cookie."""
    page.gate.check_origin(request.scope, request.headers)
    session, life = await page.gate.sign_in((await _read(request, _Link)).link)
    page.metrics.happened("signed_in")
    _log.info("a browser has signed in to the captcha page")
    attributes = f"Path=/; Max-Age={int(life)}; HttpOnly; SameSite=Strict" + ("; Secure" if page.gate.secure else "")
    return Response(None, status_code=204, headers={"set-cookie": f"{page.gate.cookie}={session}; {attributes}"})


@get("/captcha/state")
async def state(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Tell the state, with a ticket."""
    session = page.gate.check_reading(request.scope, request.headers)
    return await _told(page, session)


@get("/captcha/events")
async def events(request: _AnyRequest, page: NamedDependency[Page]) -> Stream:
    """Tell the state whenever it changes."""
    session = page.gate.check_reading(request.scope, request.headers)
    stream = _spelled(page.view, session)
    first = await anext(stream)  # a refusal is still an answer of its own here

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for event in stream:
            yield event

    return Stream(whole(), media_type="text/event-stream")


@post("/captcha/tokens", status_code=200)
async def bank_token(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Bank a token that the person produced."""
    session, token, now = await _changing(request, page, _Token)
    param = token.param.strip()
    if not param or len(param) > LONGEST_PARAM or not param.isascii() or not param.isprintable():
        raise PageRefused(422, "token", "this is no captcha token: it must be one line of ASCII characters")
    region = now.scene.region if now.scene is not None else page.settings.region
    if not region:
        raise PageRefused(422, "region", "the provider's region is not known; set captcha.widget.region")
    if not await page.bank.put(token.account, Captcha(param=param, region=region)):
        page.metrics.happened("repeated")
        raise PageRefused(409, "seen", "this token was handed in before; each can be used once")
    page.metrics.happened("banked")
    _log.info("a captcha token was handed in (%s)", token.how)
    return await _told(page, session)


@post("/captcha/troubles", status_code=200)
async def trouble(request: _AnyRequest, page: NamedDependency[Page]) -> Response[bytes]:
    """Count a failure of the widget."""
    session, told, _ = await _changing(request, page, _Trouble)
    page.metrics.happened(told.kind)
    _log.info("the captcha page reports trouble with the widget: %s", told.kind)
    return await _told(page, session)


async def _changing(request: _AnyRequest, page: Page, type_: type[Any]) -> tuple[Pass, Any, State]:
    page.gate.check_origin(request.scope, request.headers)
    body = await _read(request, type_)
    session = await page.gate.check_changing(request.scope, request.headers, body.account)
    now = await page.view.state(session.subject)
    if body.account != now.account:
        raise PageRefused(409, "account", "another account is logged in now; load the page again")
    return session, body, now


async def _read(request: _AnyRequest, type_: type[Any]) -> Any:
    try:
        return msgspec.json.decode(await request.body(), type=type_)
    except msgspec.MsgspecError:
        raise PageRefused(400, "body", "the body is not what this takes") from None


async def _told(page: Page, session: Pass) -> Response[bytes]:
    found = await page.view.state(session.subject)
    told = _Told(
        state=found,
        ticket=page.gate.ticket(session, found.account or ""),
        sdk_url=page.settings.sdk_url,
        sdk_load_ms=page.settings.sdk_load_ms,
    )
    return Response(msgspec.json.encode(told), media_type="application/json")


async def _spelled(view: View, session: Pass) -> AsyncIterator[bytes]:
    async for found in view.states(session.subject, session.ends - session.made):
        yield b"event: state\ndata: " + msgspec.json.encode(found) + b"\n\n"
