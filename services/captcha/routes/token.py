"""`/v1/start-plan/…`: what gateways ask and tell, and what a person's command asks."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery

from services.captcha.contract import REPORT_PATH, STATE_PATH, TOKEN_PATH, BankState, Report, TokenAnswer, TokenRequest
from services.captcha.errors import Invalid
from services.captcha.issuer import Issuer
from services.captcha.page.view import View

_AnyRequest = Request[Any, Any, Any]
_FRESH = {"cache-control": "no-store"}


@post(TOKEN_PATH, status_code=200)
async def token(request: _AnyRequest, issuer: NamedDependency[Issuer]) -> Response[bytes]:
    """Answer with what to send upstream, as soon as there is one; a caller that goes away leaves the line."""
    try:
        wanted = msgspec.json.decode(await request.body(), type=TokenRequest)
    except msgspec.MsgspecError as error:
        raise Invalid(f"the body is no token request: {error}") from None
    answer = await _unless_gone(request, issuer, wanted)
    return Response(msgspec.json.encode(answer), media_type="application/json", headers=_FRESH)


@post(REPORT_PATH, status_code=204)
async def report(request: _AnyRequest, issuer: NamedDependency[Issuer]) -> None:
    """Take note of how a try ended."""
    try:
        told = msgspec.json.decode(await request.body(), type=Report)
    except msgspec.MsgspecError as error:
        raise Invalid(f"the body is no report: {error}") from None
    await issuer.report(told)


@get(STATE_PATH)
async def bank_state(view: NamedDependency[View], provider: FromQuery[str]) -> Response[bytes]:
    """Tell how a provider's account stands."""
    found = await view.state(provider)
    told = BankState(**{name: getattr(found, name) for name in BankState.__struct_fields__})
    return Response(msgspec.json.encode(told), media_type="application/json", headers=_FRESH)


async def _unless_gone(request: _AnyRequest, issuer: Issuer, wanted: TokenRequest) -> TokenAnswer:
    work = asyncio.ensure_future(issuer.token(wanted))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Invalid("the caller went away")  # nobody reads it
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: _AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
