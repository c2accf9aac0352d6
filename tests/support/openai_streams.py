"""OpenAI streams: right ones, unusual ones, ones to be repaired, broken ones, and the way through their repair."""

import json
from typing import Any

from services.gateway.translation.passthrough.openai_repair import OpenAIRepair
from tests.support.frames import DONE, call, calls, chunk, data

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "total_tokens": 107,
    "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 0},
}
FIRST = chunk({"role": "assistant", "content": ""})
FINISH = chunk({}, "stop")


def repair(*, include_usage: bool = False, limit: int = 4096) -> OpenAIRepair:
    """Return a machine that has seen nothing yet."""
    return OpenAIRepair("req_1", include_usage=include_usage, limit=limit, now=1_800_000_000.0)


def passed(stream: bytes, machine: OpenAIRepair | None = None) -> bytes:
    """Return what becomes of a whole stream."""
    machine = machine or repair()
    return machine.feed(stream) + machine.eof()


def bodies(stream: bytes) -> list[Any]:
    """Return the chunks of a stream of plain data frames."""
    frames = stream.split(b"\n\n")
    assert frames.pop() == b""
    assert all(frame.startswith(b"data: ") for frame in frames)
    return [frame[6:].decode() if frame == b"data: [DONE]" else json.loads(frame[6:]) for frame in frames]


def texts(*words: str) -> bytes:
    """Return one chunk for each word."""
    return b"".join(chunk({"content": word}) for word in words)


CLEAN = {
    "text": FIRST + texts("Hel", 'lo "you"\n', "\\", "é") + FINISH + DONE,
    "text in many frames": FIRST + texts(*"abcdefgh" * 5) + FINISH + DONE,
    "reasoning": FIRST
    + b"".join(chunk({"reasoning_content": c}) for c in "thinking")
    + texts("a", "b")
    + FINISH
    + DONE,
    "tools": FIRST
    + calls(call(0, "", name="f", call_id="t0") | {"type": "function"})
    + calls(call(0, '{"a"'))
    + calls(call(0, ":1}"))
    + calls(call(1, "", name="g", call_id="t1") | {"type": "function"})
    + calls(call(1, "{}"))
    + chunk({}, "tool_calls")
    + DONE,
    "comments": b": hello\n\n" + FIRST + b": keep-alive\n\n" + texts("a") + FINISH + DONE,
    "length": FIRST + texts("a") + chunk({}, "length") + DONE,
}
QUIRKY = {
    "crlf": CLEAN["text"].replace(b"\n", b"\r\n"),
    "cr": CLEAN["text"].replace(b"\n", b"\r"),
    "no space": CLEAN["text"].replace(b"data: ", b"data:"),
    "usage null": b"".join(chunk({"content": c}, usage=None) for c in "abc") + FINISH + DONE,
    "several lines of data": FIRST + texts("a").replace(b', "choices"', b',\ndata: "choices"') + FINISH + DONE,
    "unknown fields": FIRST
    + chunk({"content": "a", "extra": [1]}, system_fingerprint="x", service_tier=None)
    + FINISH
    + DONE,
    "no choices": chunk(prompt_filter_results=[]) + FIRST + FINISH + DONE,
    "null choices": chunk(choices=None) + FIRST + FINISH + DONE,
    "delta null": chunk()
    + FIRST
    + data(json.loads(FIRST[6:]) | {"choices": [{"index": 0, "delta": None}]})
    + FINISH
    + DONE,
    "two choices": FIRST
    + data(json.loads(FIRST[6:]) | {"choices": [{"index": 1, "delta": {"role": "assistant", "content": "b"}}]})
    + FINISH
    + DONE,
    "half a surrogate": FIRST
    + texts("a").replace(b'"a"', rb'"\ud83d"')
    + texts("b").replace(b'"b"', rb'"\ude00"')
    + FINISH
    + DONE,
    "odd types": FIRST + chunk({"content": "a"}, choices="none") + FINISH + DONE,
    "unknown finish": FIRST + chunk({}, "brand_new") + DONE,
    "blank lines": b"\n\n\n" + FIRST + b"\n" + FINISH + DONE,
    "done without finish": FIRST + texts("a") + DONE,
}
REPAIRED = {
    "role in every chunk": b"".join(chunk({"role": "assistant", "content": c}) for c in "abcdef") + FINISH + DONE,
    "role beside other members": b"".join(chunk({"content": c, "role": "assistant"}) for c in "abcdef") + FINISH + DONE,
    "no object": b"".join(chunk({"content": c}, object=None) for c in "abcd") + FINISH + DONE,
    "sensitive": FIRST + texts("a") + chunk({}, "sensitive") + DONE,
    "context window": FIRST + texts("a") + chunk({}, "model_context_window_exceeded") + DONE,
    "usage with the finish": FIRST
    + texts("a")
    + chunk({"role": "assistant", "content": ""}, "stop", usage=USAGE)
    + DONE,
    "usage in every chunk": FIRST + b"".join(chunk({"content": c}, usage=USAGE) for c in "abc") + FINISH + DONE,
    "usage last": FIRST + texts("a") + FINISH + chunk(usage=USAGE) + DONE,
    "usage then more": FIRST + chunk(usage=USAGE) + texts("a") + FINISH + DONE,
    "usage without an object": FIRST + texts("a") + FINISH + chunk(usage=USAGE, object="") + DONE,
    "tools from one": FIRST
    + calls(call(1, "", name="f", call_id="t0") | {"type": "function"})
    + calls(call(1, "{"))
    + calls(call(1, "}"))
    + calls(call(2, "{}", name="g", call_id="t1"))
    + chunk({}, "tool_calls")
    + DONE,
    "no tool index": FIRST
    + calls(call(None, "", name="f", call_id="t0"))
    + calls(call(None, "{}"))
    + calls(call(None, "", name="g", call_id="t1"))
    + calls(call(None, "{}", call_id="t1"))
    + calls(call(None, "", call_id="t0"))
    + chunk({}, "tool_calls")
    + DONE,
    "id and name repeated": FIRST
    + b"".join(calls(call(0, c, name="f", call_id="t0")) for c in '{"a": 1}')
    + chunk({}, "tool_calls")
    + DONE,
    "name comes late": FIRST
    + calls(call(0, "{"))
    + calls(call(0, "}", name="f", call_id="t0"))
    + chunk({}, "tool_calls")
    + DONE,
    "no tool id": FIRST
    + calls(call(0, "{", name="f"))
    + calls(call(0, "}", call_id="t0"))
    + calls(call(1, "{}", name="g", call_id=""))
    + chunk({}, "tool_calls")
    + DONE,
    "every call numbered 0": FIRST
    + b"".join(
        calls(call(0, "", name=name, call_id=name)) + b"".join(calls(call(0, c)) for c in '{"a":"bcd"}')
        for name in "fg"
    )
    + chunk({}, "tool_calls")
    + DONE,
    "the last call goes on": FIRST
    + b"".join(
        calls(call(None, "", name=name, call_id=name)) + b"".join(calls(call(None, c)) for c in '{"a":"bcd"}')
        for name in "fg"
    )
    + chunk({}, "tool_calls")
    + DONE,
    "event and id lines": b"id: 1\nevent: message\n" + FIRST + b"retry: 5\n" + texts("a") + FINISH + DONE,
    "events without data": b"event: ping\n\n" + FIRST + b"event: ping\n\n" + b"data:\n\n" + FINISH + DONE,
    "no done": FIRST + texts("a") + FINISH,
    "no last blank line": FIRST + texts("a") + FINISH.rstrip(),
    "done without its blank line": FIRST + FINISH + DONE.rstrip(),
    "done cut off": FIRST + FINISH + b"data: [DO",
    "glm": b"".join(chunk({"role": "assistant", "reasoning_content": c}, object=None) for c in "abcd")
    + b"".join(chunk({"role": "assistant", "content": c}, object=None) for c in "efgh")
    + chunk({"role": "assistant", "content": ""}, "stop", object=None, usage=USAGE)
    + DONE,
}
BROKEN = {
    "cut": FIRST + texts("a", "b"),
    "cut in a frame": FIRST + texts("a", "b")[:-9],
    "bad json": FIRST + texts("a") + b'data: {"choices":\n\n' + texts("b") + FINISH + DONE,
    "no object at all": FIRST + data([1]) + FINISH + DONE,
    "error": FIRST + texts("a") + data({"error": {"code": "1305", "message": "busy"}}) + texts("b") + DONE,
    "error with an event line": FIRST + b"event: error\n" + data({"error": {"code": 1302, "message": "slow"}}),
    "gateway error": FIRST + data({"code": 3007, "msg": "captcha"}),
    "odd error": FIRST + data({"choices": 1, "error": "x"}),
    "network": FIRST + texts("a") + chunk({}, "network_error") + DONE,
    "too large": FIRST + texts("x" * 5000) + FINISH + DONE,
}
