"""Reads a stream as a client was sent it, event by event."""

from typing import Any

import msgspec


def data_of(stream: bytes) -> list[bytes]:
    """Return the data of each event of a stream that we wrote or the simulator did in its usual spelling."""
    lines = (line for frame in stream.split(b"\n\n") for line in frame.split(b"\n"))
    return [line[6:] for line in lines if line.startswith(b"data: ")]


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream as JSON, without OpenAI's end mark."""
    return [msgspec.json.decode(data) for data in data_of(stream) if data != b"[DONE]"]
