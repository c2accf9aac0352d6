"""
Turns a request and its script into the answer's head and body, ready to be sent. Pure: time is an argument.

Ordering, timing and breaking off are not decided here but in `delivery`.
"""

import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import msgspec

from services.simulator import anthropic_wire, compression, faults, openai_wire, sse
from services.simulator.answer import Answer, compose
from services.simulator.conversation import Conversation
from services.simulator.script import Script
from services.simulator.wire import Wire

Header = tuple[bytes, bytes]

_JSON: Final[Header] = (b"content-type", b"application/json; charset=UTF-8")
_EVENTS: Final = ((b"content-type", b"text/event-stream;charset=UTF-8"), (b"cache-control", b"no-cache"))
_HTML_TYPE: Final[Header] = (b"content-type", b"text/html; charset=utf-8")
_HTML: Final = (
    b"<!DOCTYPE html>\n<html><head><title>Just a moment...</title></head>"
    b"<body><h1>Checking your browser</h1><p>simulated CDN page</p></body></html>\n"
)
_GIBIBYTE: Final = 1024**3
_BLOCK: Final = b"x" * 65536
_TINY_EVENTS: Final = 1000  # in one write


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it is to be sent. `lazy`, where given, makes the body on the way, instead of `frames`."""

    status: int
    headers: tuple[Header, ...]
    frames: tuple[bytes, ...] = ()
    streamed: bool = False
    lazy: Callable[[], Iterator[bytes]] | None = None


# Answers that are no chat answers.
_OTHER: Final = types.MappingProxyType(
    {
        "html": Plan(status=403, headers=(_HTML_TYPE,), frames=(_HTML,)),
        "redirect": Plan(status=302, headers=((b"location", b"http://127.0.0.1:9/simulated-redirect"),)),
        "empty": Plan(status=200, headers=()),
        "garbage": Plan(status=200, headers=(_JSON,), frames=(b'{"id": "sim", "choices": [tr\xff\x00',)),
    }
)


def make(conversation: Conversation, script: Script, accept_encoding: bytes, created: int) -> Plan:
    """Return the plan of an answer. `created` is Unix time in seconds."""
    plan = _uncoded(conversation, script, created)
    coding = compression.offered(accept_encoding) if script.encoding == "auto" else script.encoding
    if coding is None or coding == "identity" or plan.lazy is not None:
        return plan
    headers = (*plan.headers, (b"content-encoding", coding.encode()), (b"vary", b"Accept-Encoding"))
    frames = tuple(compression.compress(coding, plan.frames))
    return Plan(status=plan.status, headers=headers, frames=frames, streamed=plan.streamed)


def refusal(wire: Wire, code: str, message: str, request_id: str) -> Plan:
    """Return the plan of an error answer that no script asked for."""
    status = faults.look_up(code).status
    body = faults.body("default", wire, code, status, message, request_id)
    return Plan(status=status, headers=(_JSON,), frames=(body,))


def _uncoded(conversation: Conversation, script: Script, created: int) -> Plan:
    if script.error is not None and script.at in {"status", "ok"}:
        return _error(conversation, script, created)
    if script.bomb in {"gzip", "line", "events"}:
        return _bomb(conversation, script)
    other = _OTHER.get(script.answer)
    if other is None:
        return _proper(conversation, script, compose(conversation, script, created), created)
    return other if script.status is None else msgspec.structs.replace(other, status=script.status)


def _proper(conversation: Conversation, script: Script, answer: Answer, created: int) -> Plan:
    streamed = script.answer == "sse" or (conversation.stream and script.answer != "json")
    status = script.status or 200
    if streamed:
        frames = script.frames or _frames(conversation, script, answer, created)
        return Plan(status=status, headers=_EVENTS, frames=frames, streamed=True)
    write = openai_wire.batch if conversation.wire is Wire.OPENAI else anthropic_wire.batch
    return Plan(status=status, headers=(_JSON,), frames=script.frames or (write(answer, script),))


def _frames(conversation: Conversation, script: Script, answer: Answer, created: int) -> tuple[bytes, ...]:
    write = openai_wire.stream if conversation.wire is Wire.OPENAI else anthropic_wire.stream
    events: list[tuple[str | None, bytes]] = [*write(answer, script)]
    if script.error is not None:
        at = len(events) // 2 if script.after is None else script.after
        name = None if conversation.wire is Wire.OPENAI else "error"
        events = [*events[: 0 if script.at == "first" else at], (name, _error_body(conversation, script, created))]
    return tuple(sse.spell(events, script))


def _error(conversation: Conversation, script: Script, created: int) -> Plan:
    status = script.status or (faults.look_up(script.error or "").status if script.at == "status" else 200)
    body = _error_body(conversation, script, created)
    return Plan(status=status, headers=(_JSON,), frames=(body,) if body else ())


def _error_body(conversation: Conversation, script: Script, created: int) -> bytes:
    code = script.error or ""
    error = faults.look_up(code)
    message = script.message if script.message is not None else faults.message_of(error, created, script.reset)
    return faults.body(script.error_form, conversation.wire, code, error.status, message, conversation.seed)


def _bomb(conversation: Conversation, script: Script) -> Plan:
    prefix, suffix = b'data: {"id":"', b'"}\n\n'
    if not conversation.stream:
        prefix, suffix = b'{"id":"', b'"}'
    headers = _EVENTS if conversation.stream else (_JSON,)
    if script.bomb == "events":
        make_body = partial(_tiny_events, conversation.wire, 10**6 if script.size is None else script.size)
        return Plan(status=200, headers=_EVENTS, streamed=True, lazy=make_body)
    size = _GIBIBYTE if script.size is None else script.size
    if script.bomb == "gzip":
        headers = (*headers, (b"content-encoding", b"gzip"))
        return Plan(
            status=200, headers=headers, streamed=True, lazy=partial(compression.gzip_bomb, prefix, size, suffix)
        )
    return Plan(status=200, headers=headers, streamed=True, lazy=partial(_line, prefix, size, suffix))


def _line(prefix: bytes, size: int, suffix: bytes) -> Iterator[bytes]:
    yield prefix
    for _ in range(size // len(_BLOCK)):
        yield _BLOCK
    yield _BLOCK[: size % len(_BLOCK)] + suffix


def _tiny_events(wire: Wire, count: int) -> Iterator[bytes]:
    event = b'data: {"choices":[]}\n\n' if wire is Wire.OPENAI else b'event: ping\ndata: {"type":"ping"}\n\n'
    block = event * _TINY_EVENTS
    for _ in range(count // _TINY_EVENTS):
        yield block
    yield event * (count % _TINY_EVENTS)
