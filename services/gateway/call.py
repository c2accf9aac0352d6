"""One call of a client, as the exchange sees it: format, body and what little of the headers matters."""

import msgspec

from services.gateway.errors import BadRequest
from services.gateway.guard import Caller
from services.gateway.translation.own_faults import bad_request
from services.gateway.wire.formats import WireFormat


class ClientCall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Belongs to one request."""

    format: WireFormat
    caller: Caller
    body: bytes
    model: str
    stream: bool
    include_usage: bool  # OpenAI: the client wants the usage chunk
    accept_encoding: bytes | None
    beta: bytes | None  # anthropic-beta, already reduced to what may travel
    session: bytes | None  # the client's session id, already checked
    request_id: bytes  # UUIDv4, ours
    head: tuple[tuple[bytes, bytes], ...]  # what every answer to this client carries: ids, CORS


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Peek(msgspec.Struct):
    """The only members that are read before a body is passed on."""

    model: str | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None


_decode_peek = msgspec.json.Decoder(_Peek).decode


class Peek(msgspec.Struct, frozen=True, gc=False):
    """Model and mode of a request body."""

    model: str
    stream: bool
    include_usage: bool
    named: bool = True  # the body names the model itself


def peek(body: bytes, default_model: str | None) -> Peek:
    """Read model and mode; raises BadRequest naming the member that is missing or of the wrong type."""
    try:
        seen = _decode_peek(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        param = path.strip("`.") or None
        where = f"{param}: " if param else ""
        raise BadRequest(bad_request(f"{where}{message}", param)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise BadRequest(bad_request("The request body is not valid JSON.", None, "invalid_json")) from None
    model = seen.model or default_model
    if not model:
        raise BadRequest(bad_request("model: Field required", "model"))
    options = seen.stream_options
    include_usage = options is not None and bool(options.include_usage)
    return Peek(model, bool(seen.stream), include_usage, bool(seen.model))
