"""`GET /v1/snapshot?after=<generation>&wait=<seconds>`: the newest snapshot, held back until there is a newer one."""

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from services.credentials.broker import Broker
from services.credentials.contract import SNAPSHOT_PATH


@get(SNAPSHOT_PATH)
async def snapshot(
    broker: NamedDependency[Broker], after: FromQuery[int] = -1, wait: FromQuery[float] = 0.0
) -> Response[bytes]:
    """Answer with a snapshot above `after`, or with what there is after `wait` seconds, as far as the broker waits."""
    found = await broker.poll(after, wait)
    return Response(msgspec.json.encode(found), media_type="application/json", headers={"cache-control": "no-store"})
