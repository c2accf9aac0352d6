"""`POST /v1/messages/count_tokens`: an estimate made here, a little too high rather than too low; costs nothing."""

from typing import Final

import msgspec

from services.chassis.direct import ClientGone
from services.gateway.inbound import Inbound
from services.gateway.rescue import fault_of_exception, write_error
from services.gateway.translation.count import count_request_tokens
from services.gateway.wire.formats import WireFormat

PATH: Final = "/v1/messages/count_tokens"


class CountTokensEndpoint:
    """Answers with `{"input_tokens": n}`."""

    def __init__(self, *, body_limit: int) -> None:
        self._body_limit = body_limit

    async def __call__(self, inbound: Inbound) -> None:
        """Serve one request."""
        client = inbound.client
        try:
            body = await client.read_body(self._body_limit)
            answer = msgspec.json.encode({"input_tokens": count_request_tokens(body)})
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001  # the edge: everything becomes an answer
            fault = fault_of_exception(error, inbound.request_id)
            write_error(client, WireFormat.ANTHROPIC, fault, inbound.request_id, inbound.cors)
            return
        request_id = inbound.request_id.encode()
        client.start(
            200,
            (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(answer)),
                (b"x-request-id", request_id),
                (b"request-id", request_id),
                *inbound.cors,
            ),
        )
        client.finish(answer)
