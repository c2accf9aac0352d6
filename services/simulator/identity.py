"""
The identity provider: logins with and without a callback, tokens, account calls (upstream.md 2). Both providers.

The paths of both are disjoint or the same, so one set here. How it behaves is `accounts.Behaviour`; what goes wrong is
its `faults`, one of these for each call of an endpoint:

    status=N   HTTP N            code=N     HTTP 200, and N in the envelope      html, redirect, empty, large   as named
    drop       no answer         late       as drop, after doing what was asked  slow=S   after S seconds       hang
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeAlias
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import msgspec

from services.simulator.accounts import KEY_NAME, PROVIDERS, Accounts, Issued
from services.simulator.connection import Connection, Handler
from services.simulator.records import Request

_ZCODE: Final = "/api/v1/oauth"
_CLI: Final = f"{_ZCODE}/cli"
_PAGE: Final = "/oauth/cli/authorize"
_CONTROL: Final = "/_simulator/identity"
_PROJECT: Final = "/api/biz/v1/organization/org-simulated/projects/proj-simulated/api_keys"
_COPY: Final = f"{_PROJECT}/copy/"
_AUTHORIZE: Final = {"/api/oauth/authorize": ("zai", "redirect_uri"), "/login": ("bigmodel", "redirect")}
_LARGE: Final = 256 * 1024


class Reply(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


_FAULTY: Final = {
    "html": Reply(200, b"<html>scripted</html>", (("content-type", "text/html"),)),
    "redirect": Reply(302, b"", (("location", "/elsewhere"),)),
    "empty": Reply(200, b""),
    "large": Reply(200, b'{"code":0,"data":"' + b"x" * _LARGE + b'"}'),
}

_Answering: TypeAlias = Callable[[Request], Reply]


class Identity:
    """Answers the identity provider's endpoints."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._exact: dict[str, tuple[str, str, _Answering]] = {
            f"{_CLI}/init": ("init", "POST", self._init),
            _PAGE: ("page", "GET", self._page),
            f"{_ZCODE}/token": ("token", "POST", self._token),
            "/api/auth/z/login": ("login", "POST", self._login),
            "/api/biz/customer/getCustomerInfo": ("customer", "GET", self._customer),
            _CONTROL: ("", "", self._control),
            f"{_CONTROL}/approve": ("", "POST", self._approve),
            f"{_CONTROL}/end-logins": ("", "POST", self._end_logins),
            f"{_CONTROL}/revoke-keys": ("", "POST", self._revoke_keys),
        }
        self._exact |= dict.fromkeys(_AUTHORIZE, ("authorize", "GET", self._authorize))

    def handler(self, path: str) -> Handler | None:
        """Return what answers a path, None where it is not one of these."""
        if path in self._exact:
            return _handler(self._accounts, *self._exact[path])
        if path.startswith(f"{_CLI}/poll/"):
            return _handler(self._accounts, "poll", "GET", self._poll)
        if path.startswith(_COPY):
            return _handler(self._accounts, "copy", "GET", self._copy)
        if path == _PROJECT:
            return self._keys
        return None

    async def _keys(self, request: Request, link: Connection) -> bool:
        if request.method == "GET":
            return await _handler(self._accounts, "list", "GET", self._list)(request, link)
        return await _handler(self._accounts, "create", "POST", self._create)(request, link)

    # -- logins

    def _init(self, request: Request) -> Reply:
        behaviour = self._accounts.behaviour
        if not behaviour.offered:
            return _reply(404, {"error": "Not Found"})
        provider, poll_token = _fields(request).get("provider", ""), _bearer(request)
        if provider not in PROVIDERS or not poll_token:
            return _zcode(3001, "invalid parameter")
        flow_id = self._accounts.begin(provider, poll_token)
        return _zcode(
            0,
            data={
                "flow_id": flow_id,
                "authorize_url": f"{_origin(request)}{_PAGE}?{urlencode({'flow': flow_id})}",
                "expires_at": int(request.at + behaviour.lifetime),
                "poll_interval_sec": behaviour.interval,
            },
        )

    def _page(self, request: Request) -> Reply:
        known = self._accounts.visit(_query(request).get("flow", ""))
        words = "Simulated login: done, go back to the terminal." if known else "Simulated login: there is none."
        return Reply(200 if known else 404, words.encode(), (("content-type", "text/plain; charset=utf-8"),))

    def _poll(self, request: Request) -> Reply:
        found = self._accounts.poll(unquote(request.path.rpartition("/")[2]), _bearer(request))
        if found is None:
            return _reply(404, {"error": "Not Found"})
        if isinstance(found, str):
            return _zcode(0, data={"status": found})
        return _zcode(0, data={"status": "ready"} | self._tokens(found))

    def _authorize(self, request: Request) -> Reply:
        provider, redirect_field = _AUTHORIZE[request.path]
        query = _query(request)
        redirect, state = query.get(redirect_field, ""), query.get("state", "")
        challenge = query.get("code_challenge")
        behaviour = self._accounts.behaviour
        if not urlsplit(redirect).scheme or not state or (behaviour.pkce and challenge is None):
            return Reply(400, b"Simulated login: a parameter is missing.", (("content-type", "text/plain"),))
        if behaviour.approve == "wait" and "approved" not in query:
            link = f"{request.path}?{urlencode(query | {'approved': '1'})}".replace("&", "&amp;")
            page = f'<!doctype html><title>Simulated login</title><a href="{link}">Agree</a>'
            return Reply(200, page.encode(), (("content-type", "text/html; charset=utf-8"),))
        answer = {"error": "access_denied", "state": state}
        if behaviour.approve != "deny":
            answer = {behaviour.code_name: self._accounts.code(provider, redirect, state, challenge), "state": state}
        location = f"{redirect}{'&' if urlsplit(redirect).query else '?'}{urlencode(answer)}"
        return Reply(302, b"", (("location", location),))

    def _token(self, request: Request) -> Reply:
        fields = _fields(request)
        if fields.get("grant_type") == "refresh_token":
            issued = self._accounts.refresh(fields.get("refresh_token", ""))
        else:
            issued = self._accounts.exchange(fields)
        if issued is None or issued.provider != fields.get("provider"):
            return _zcode(2007, "code expired or redirect_uri mismatch")
        return _zcode(0, data=self._tokens(issued))

    def _tokens(self, issued: Issued) -> dict[str, object]:
        behaviour = self._accounts.behaviour
        return {
            "token": issued.jwt,
            issued.provider: {"access_token": issued.access_token, "refresh_token": issued.refresh_token},
            "user": {"user_id": behaviour.user},
            "expires_in": behaviour.expires_in,
        }

    # -- the account

    def _login(self, request: Request) -> Reply:
        token = self._accounts.business(_fields(request).get("token", ""))
        return _biz(401, "token expired or incorrect") if token is None else _biz(200, data={"access_token": token})

    def _customer(self, request: Request) -> Reply:
        if self._owner(request) is None:
            return _biz(401, "token expired or incorrect")
        projects = [
            {"projectId": "proj-other", "projectName": "other"},
            {"projectId": "proj-simulated", "projectName": "\u9ed8\u8ba4\u9879\u76ee"},
        ]
        organizations = [
            {"organizationId": "org-other", "organizationName": "other", "projects": projects[:1]},
            {
                "organizationId": "org-simulated",
                "organizationName": "\u9ed8\u8ba4\u673a\u6784 (simulated)",
                "projects": projects,
            },
        ]
        return _biz(200, data={"customerNumber": "simulated", "organizations": organizations})

    def _list(self, request: Request) -> Reply:
        owner = self._owner(request)
        if owner is None:
            return _biz(401, "token expired or incorrect")
        halves = self._accounts.key(owner)
        entries = [{"name": "another", "apiKey": "sim-another"}]
        if halves is not None:
            entries.append({"name": KEY_NAME, "apiKey": halves[0]})
        return _biz(200, data=entries)

    def _create(self, request: Request) -> Reply:
        owner = self._owner(request)
        if owner is None:
            return _biz(401, "token expired or incorrect")
        if _fields(request).get("name") != KEY_NAME:
            return _biz(500, "name is missing")
        return _biz(200, data={"name": KEY_NAME, "apiKey": self._accounts.make_key(owner)[0]})

    def _copy(self, request: Request) -> Reply:
        owner = self._owner(request)
        halves = None if owner is None else self._accounts.key(owner)
        if halves is None or unquote(request.path.removeprefix(_COPY)) != halves[0]:
            return _biz(401, "token expired or incorrect")
        return _biz(200, data={"secretKey": halves[1]})

    def _owner(self, request: Request) -> str | None:
        return self._accounts.owner((request.header(b"authorization") or b"").decode("latin-1"))

    # -- the simulator's own

    def _control(self, request: Request) -> Reply:
        if request.method == "POST":
            try:
                self._accounts.change(msgspec.json.decode(request.body))
            except msgspec.DecodeError as error:
                return _reply(400, {"error": str(error)})
        return _reply(200, {"behaviour": self._accounts.behaviour, "counts": dict(self._accounts.counts)})

    def _approve(self, _: Request) -> Reply:
        return _reply(200, {"approved": self._accounts.approve()})

    def _end_logins(self, _: Request) -> Reply:
        self._accounts.end_logins()
        return _reply(200, {"status": "ok"})

    def _revoke_keys(self, _: Request) -> Reply:
        self._accounts.revoke_keys()
        return _reply(200, {"status": "ok"})


def _handler(accounts: Accounts, endpoint: str, method: str, answering: _Answering) -> Handler:
    async def handle(request: Request, link: Connection) -> bool:
        if method not in ("", request.method):
            return await _send(link, _reply(405, {"error": f"use {method}"}), request)
        name, _, detail = (accounts.fault(endpoint) if endpoint else "").partition("=")
        if name == "slow":
            await asyncio.sleep(float(detail))
        elif name == "hang":
            await asyncio.sleep(3600)
        elif name and name != "late":
            reply = _faulty(name, detail)
            return await _send(link, reply, request) if reply is not None else False
        reply = answering(request)
        return False if name == "late" else await _send(link, reply, request)

    return handle


def _faulty(name: str, detail: str) -> Reply | None:
    """Return the answer of a fault, None for none at all."""
    if name == "status":
        return _reply(int(detail), {"error": {"code": detail, "message": "scripted"}})
    if name == "code":
        return _zcode(int(detail), "scripted\x1b[31m text")
    return _FAULTY.get(name)


async def _send(link: Connection, reply: Reply, request: Request) -> bool:
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        *(f"{name}: {value}" for name, value in reply.headers),
        f"content-length: {len(reply.body)}",
        f"connection: {'keep-alive' if request.keep_alive else 'close'}",
        "",
        "",
    ]
    link.write("\r\n".join(lines).encode("latin-1") + reply.body)
    await link.drain()
    return request.keep_alive


def _reply(status: int, body: object) -> Reply:
    return Reply(status, msgspec.json.encode(body))


def _zcode(code: int, message: str = "", data: object = None) -> Reply:
    return _reply(200, {"code": code, "msg": message, "data": data})


def _biz(code: int, message: str = "", data: object = None) -> Reply:
    return _reply(200, {"code": code, "msg": message, "data": data, "success": code == 200})


def _fields(request: Request) -> dict[str, str]:
    try:
        return msgspec.json.decode(request.body, type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _query(request: Request) -> dict[str, str]:
    query = request.target.partition(b"?")[2].decode("latin-1")
    return {name: values[0] for name, values in parse_qs(query).items()}


def _bearer(request: Request) -> str:
    scheme, _, token = (request.header(b"authorization") or b"").decode("latin-1").partition(" ")
    return token if scheme == "Bearer" else ""


def _origin(request: Request) -> str:
    return f"http://{(request.header(b'host') or b'127.0.0.1').decode('latin-1')}"
