"""What an upstream answers, as bytes: a body of about 1,500 bytes, or a stream of 200 events, each in an HTTP chunk."""

from typing import Final

from bench.requests import Dialect

_EVENTS: Final = 200
STREAMS: Final = frozenset({"stream", "paced"})

_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ndate: Mon, 30 Nov 2026 00:00:00 GMT\r\nserver: mock\r\nvary: Origin\r\n"
    b"x-log-id: 20261130000000abcdef\r\nx-request-id: 20261130000000abcdef\r\ncache-control: no-cache\r\n"
    b"strict-transport-security: max-age=31536000\r\nx-process-time: 1.23\r\nx-ratelimit-limit: 100\r\n"
    b"x-ratelimit-remaining: 99\r\n%b\r\n\r\n"
)
_BATCH: Final[dict[Dialect, bytes]] = {
    "anthropic": b'{"id":"m","type":"message","role":"assistant","model":"glm-4.6","content":'
    b'[{"type":"text","text":"%b"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":300}}',
    "openai": b'{"id":"c","object":"chat.completion","created":1,"model":"glm-4.6","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"%b"},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":300}}',
}
_STREAM: Final[dict[Dialect, tuple[bytes, bytes, bytes]]] = {
    "anthropic": (
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message",'
            b'"role":"assistant","model":"glm-4.6","content":[],"stop_reason":null,"usage":{"input_tokens":25,"output_tokens":1}}}\n\n'
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
            b'"content_block":{"type":"text","text":""}}\n\n'
        ),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"word %05d of the answer "}}\n\n'
        ),
        (
            b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
            b'"usage":{"input_tokens":25,"output_tokens":200}}\n\n'
            b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        ),
    ),
    "openai": (
        b"",
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"glm-4.6","choices":[{"index":0,'
            b'"delta":{"role":"assistant","content":"word %05d of the answer "},"finish_reason":null}]}\n\n'
        ),
        (
            b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"glm-4.6","choices":[{"index":0,'
            b'"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":25,"completion_tokens":200}}\n\n'
            b"data: [DONE]\n\n"
        ),
    ),
}


def answer(dialect: Dialect, shape: str) -> bytes:
    """Return what the upstream says: a body of about 1,500 bytes, or a stream with an HTTP chunk for each event."""
    if shape not in STREAMS:
        body = _BATCH[dialect] % (b"x" * 1300)
        return _HEAD % (b"application/json", b"content-length: %d" % len(body)) + body
    first, delta, last = _STREAM[dialect]
    body = first + b"".join(delta % number for number in range(_EVENTS)) + last
    events = [event + b"\n\n" for event in body.split(b"\n\n")[:-1]]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    return _HEAD % (b"text/event-stream", b"transfer-encoding: chunked") + chunks + b"0\r\n\r\n"
