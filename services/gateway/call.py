"""One call of a client, as the exchange sees it: format, body and what little of the headers matters."""

from typing import Final

import msgspec

from services.gateway.errors import BadRequest
from services.gateway.guard import Caller
from services.gateway.translation.own_faults import bad_request
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.outline import Outline


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
    outline: Outline | None = None  # what has been read of the body


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Peek(msgspec.Struct):
    """The only members that are read before a body is passed on."""

    model: str | None = None
    stream: bool | None = False
    stream_options: _StreamOptions | None = None


_decode_peek: Final = msgspec.json.Decoder(_Peek).decode
_decode_options: Final = msgspec.json.Decoder(_StreamOptions).decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_TRUE: Final = msgspec.Raw(b"true")
_SWITCH: Final = (None, _TRUE, msgspec.Raw(b"false"))


class Peek(msgspec.Struct, frozen=True, gc=False):
    """Model and mode of a request body."""

    model: str
    stream: bool
    include_usage: bool
    named: bool = True  # the body names the model itself


def peek(body: bytes, default_model: str | None, outline: Outline | None = None) -> Peek:
    """
    Read model and mode; raises BadRequest naming the member that is missing or of the wrong type.

    `outline` is what has been read of the body already; where that says nothing unusual, the body is not read again.
    """
    seen = None if outline is None else _peek_at(outline)
    return _read_peek(body, default_model) if seen is None else seen


def _peek_at(outline: Outline) -> Peek | None:
    members = outline.members
    stream = members.get("stream")
    options = members.get("stream_options")
    try:
        model = _decode_text(members["model"])
        asked = None if options is None else _decode_options(options).include_usage
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not model or stream not in _SWITCH:
        return None
    return Peek(model, stream == _TRUE, bool(asked))


def _read_peek(body: bytes, default_model: str | None) -> Peek:
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
