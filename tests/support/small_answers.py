"""The smallest whole answers of an upstream in memory, and the smallest stream: each says hi."""

import json
from typing import Any

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.frames import DONE, chunk
from tests.support.memory_upstream import JSON, MemoryAnswer

ANSWERS = {
    OPENAI: {
        "id": "up-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
    ANTHROPIC: {
        "id": "up-1",
        "type": "message",
        "role": "assistant",
        "model": "glm-5.1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}
STREAM = chunk({"role": "assistant", "content": "hi"}) + chunk({}, "stop") + DONE


def whole(status: int = 200, body: Any = None, wire: WireFormat = OPENAI, **headers: bytes) -> MemoryAnswer:
    """Return an answer that is complete from the start; without a body it is the small one in this format."""
    body = ANSWERS[wire] if body is None else body
    extra = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return MemoryAnswer(status, [*JSON, *extra], body if isinstance(body, bytes) else json.dumps(body).encode())
