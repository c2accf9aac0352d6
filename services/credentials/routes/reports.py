"""`POST /v1/reports`: a gateway found something out about a lease; the answer is the snapshot that follows from it."""

from typing import Any

import msgspec
from litestar import Request, Response, post
from litestar.di import NamedDependency

from services.credentials.broker import Broker
from services.credentials.contract import REPORT_PATH, Report
from services.credentials.errors import CredentialsError


class Unreadable(CredentialsError):
    """The body is no report."""

    status = 400


@post(REPORT_PATH, status_code=200)
async def report(request: Request[Any, Any, Any], broker: NamedDependency[Broker]) -> Response[bytes]:
    """Take note of a finding."""
    try:
        finding = msgspec.json.decode(await request.body(), type=Report)
    except msgspec.MsgspecError:
        raise Unreadable("the body is no report") from None
    found = await broker.report(finding)
    return Response(msgspec.json.encode(found), media_type="application/json", headers={"cache-control": "no-store"})
