"""Strategies for what upstreams send: well-formed streams of either dialect, and ways to cut and to spoil them."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.support.frames import (
    DONE,
    block_delta,
    block_start,
    block_stop,
    call,
    calls,
    chunk,
    data,
    event,
    message_start,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12).map(lambda text: f"w{text}")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 40), 1 << 40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
ARGUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=3)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,12}", fullmatch=True)
COUNTS = st.integers(0, 1 << 30)


@st.composite
def pieces(draw: st.DrawFn, text: str, most: int = 4) -> list[str]:
    """A text in some parts that are not empty."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=most - 1)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    return [part for part in parts if part]


@st.composite
def argument_pieces(draw: st.DrawFn) -> list[str]:
    """Some call's arguments, as an upstream would stream them."""
    value = draw(ARGUMENTS)
    text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return draw(pieces(text)) if value else draw(st.sampled_from([[], ["{}"], ["{", "}"]]))


@st.composite
def openai_calls(draw: st.DrawFn) -> list[bytes]:
    """Some tool calls: one after the other, or with their fragments interleaved."""
    fragments: list[list[dict[str, Any]]] = []
    for index in range(draw(st.integers(0, 3))):
        head = call(index, draw(st.sampled_from(["", None])), name=draw(NAMES), call_id=f"call_{index}")
        fragments.append([head, *(call(index, part) for part in draw(argument_pieces()))])
    if not draw(st.booleans()):
        return [calls(fragment) for group in fragments for fragment in group]
    sent = []
    while any(fragments):
        ready = [group for group in fragments if group]
        # A head may not overtake the head of an earlier call: clients number calls by their arrival.
        first = next((position for position, group in enumerate(ready) if group[0].get("id")), len(ready) - 1)
        size = draw(st.integers(1, 2))
        chosen = [group.pop(0) for group in ready[: first + 1][-size:]]
        sent.append(calls(*chosen))
    return sent


@st.composite
def openai_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream as the reference describes it, in frames, with usage in one of the usual places."""
    frames = [chunk({"role": "assistant", "content": draw(st.sampled_from(["", None]))})]
    for name in draw(st.lists(st.sampled_from(["reasoning_content", "content"]), max_size=3)):
        frames += [chunk({name: part}) for part in draw(pieces(draw(WORDS)))]
    tools = draw(openai_calls())
    frames += tools
    reason = draw(st.sampled_from(["stop", "tool_calls", "length"] if tools else ["stop", "length", "content_filter"]))
    prompt = draw(COUNTS)
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": draw(COUNTS),
        "total_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": draw(st.integers(0, prompt))},
    }
    match draw(st.sampled_from(["last", "with the reason", "always"])):
        case "last":
            frames += [chunk({}, reason), chunk(usage=usage)]
        case "with the reason":
            frames += [chunk({}, reason, usage=usage)]
        case _:
            frames = [frame.replace(b'"object"', b'"usage": {"prompt_tokens": 1}, "object"', 1) for frame in frames]
            frames += [chunk({}, reason), chunk(usage=usage)]
    return [*frames, DONE]


@st.composite
def anthropic_streams(draw: st.DrawFn) -> list[bytes]:
    """A stream as the reference describes it, in frames."""
    frames = [message_start(input_tokens=draw(COUNTS), cache_read_input_tokens=draw(COUNTS), output_tokens=1)]
    kinds = draw(st.lists(st.sampled_from(["text", "thinking", "tool_use"]), max_size=4))
    for index, kind in enumerate(kinds):
        if draw(st.booleans()):
            frames.append(event("ping"))
        if kind == "tool_use":
            frames.append(block_start(index, kind, id=f"toolu_{index}", name=draw(NAMES)))
            parts = draw(argument_pieces()) or [""]
            frames += [block_delta(index, "input_json_delta", partial_json=part) for part in parts]
        else:
            frames.append(block_start(index, kind))
            delta = {"text": "text_delta", "thinking": "thinking_delta"}[kind]
            frames += [block_delta(index, delta, **{kind: part}) for part in draw(pieces(draw(WORDS)))]
            if kind == "thinking":
                frames.append(block_delta(index, "signature_delta", signature="c2ln"))
        frames.append(block_stop(index))
    reasons = ["end_turn", "stop_sequence", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"]
    reason = draw(st.sampled_from(["tool_use", "max_tokens"] if "tool_use" in kinds else reasons))
    usage = {"output_tokens": draw(COUNTS)} | draw(st.fixed_dictionaries({}, optional={"input_tokens": COUNTS}))
    ending = {"stop_reason": reason, "stop_sequence": "END" if reason == "stop_sequence" else None}
    return [*frames, event("message_delta", delta=ending, usage=usage), event("message_stop")]


@st.composite
def spelt(draw: st.DrawFn, frames: list[bytes]) -> bytes:
    """The bytes of some frames, in one of the spellings that server-sent events allow."""
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    space = draw(st.sampled_from([b" ", b""]))
    out = []
    for frame in frames:
        comment = draw(st.sampled_from([b"", b"", b": comment\n\n", b": x\n"]))
        lines = (comment + frame).replace(b"\ndata: ", b"\ndata:" + space).replace(b"\nevent: ", b"\nevent:" + space)
        out.append(lines.replace(b"\n", end))
    return b"".join(out)


@st.composite
def cut(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The bytes in some reads."""
    cuts = sorted(draw(st.sets(st.integers(0, len(stream)), max_size=12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


ODD_FRAMES = [
    b"data: {\n\n",
    b"data: []\n\n",
    b"data: {}\n\n",
    b"event: ping\n\n",
    b"\xff\xfe",
    data({"error": {"code": "1302", "message": "slow down"}}),
    data({"error": "overloaded"}),
    data({"code": 3007, "msg": "captcha"}),
    chunk({"content": None, "tool_calls": []}),
    chunk({"content": 7, "tool_calls": [None, {"index": -1}, {"function": None}]}),
    chunk({"tool_calls": [{"index": 1 << 70, "id": "", "function": {"name": "", "arguments": "}"}}]}),
    chunk({}, "network_error"),
    chunk({}, "eos"),
    event("error", error={"type": "overloaded_error", "message": "busy"}),
    event("content_block_start", index=9),
    event("content_block_delta", index=9, delta={"type": "input_json_delta", "partial_json": "x"}),
    event("content_block_stop", index=9),
    event("message_delta", delta=None),
    event("message_delta", delta={"stop_reason": "strange"}, usage={"output_tokens": "x"}),
    event("future_event", payload=[1]),
    DONE,
]


@st.composite
def spoilt(draw: st.DrawFn, frames: list[bytes]) -> bytes:
    """The bytes of some frames after something happened to them."""
    frames = list(frames)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(frames)))
        match draw(st.sampled_from(["insert", "drop", "repeat", "swap", "end"])):
            case "insert":
                frames.insert(at, draw(st.sampled_from(ODD_FRAMES)))
            case "drop":
                del frames[at : at + 1]
            case "repeat":
                frames[at:at] = frames[at : at + 2]
            case "swap":
                frames[at : at + 2] = frames[at : at + 2][::-1]
            case _:
                del frames[at:]
    stream = bytearray(b"".join(frames))
    for _ in range(draw(st.integers(0, 4))):
        if stream:
            at = draw(st.integers(0, len(stream) - 1))
            stream[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(stream)
