"""What the vendors' own SDKs make of a stream: their accumulators, fed from memory, without a socket."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx2
import openai

from services.gateway.translation import vocabulary
from services.gateway.translation.streams.events import StopReason


@dataclass
class Reading:
    """An answer as a client holds it in the end, in no dialect."""

    text: str = ""
    reasoning: str = ""
    tools: list[tuple[str, str, Any]] = field(default_factory=list)  # id, name, parsed arguments
    reason: StopReason | None = None
    input: int = 0  # with what came from and went to the cache
    cached: int = 0
    output: int = 0


class _Body(httpx2.SyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body


class Clients:
    """Both SDKs, on a transport that answers with a given stream."""

    def __init__(self) -> None:
        self._body = b""
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self._openai = openai.OpenAI(api_key="x", base_url="http://upstream/v1", http_client=http, max_retries=0)
        self._anthropic = anthropic.Anthropic(api_key="x", base_url="http://upstream", http_client=http, max_retries=0)

    def _answer(self, _request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(self._body))

    def openai(self, stream: bytes) -> Reading:
        """Read a stream as the openai SDK does."""
        self._body = stream
        manager = self._openai.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
        )
        with manager as events:
            for _ in events:
                pass
            answer = events.current_completion_snapshot
        [choice] = answer.choices
        message = choice.message
        assert message.role == "assistant"
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments or "{}"))
            for call in message.tool_calls or []
            if call.type == "function"
        ]
        reading = Reading(message.content or "", getattr(message, "reasoning_content", None) or "", calls)
        reading.reason = vocabulary.from_openai(choice.finish_reason or "")
        if answer.usage is not None:
            reading.input, reading.output = answer.usage.prompt_tokens, answer.usage.completion_tokens
            details = answer.usage.prompt_tokens_details
            reading.cached = (details.cached_tokens or 0) if details else 0
        return reading

    def responses(self, stream: bytes) -> Reading:
        """
        Read a stream of the Responses API as the openai SDK does.

        Its accumulator gives a whole answer for response.completed only; the parts of another are in its last event.
        """
        self._body = stream
        with self._openai.responses.stream(model="m", input="hi") as events:
            *_, last = events
        if last.type == "response.completed":
            assert events.get_final_response() == last.response
        return _of_response(last.response)

    def anthropic(self, stream: bytes) -> Reading:
        """Read a stream as the anthropic SDK does."""
        self._body = stream
        with self._anthropic.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as events:
            message = events.get_final_message()
        reading = Reading()
        for block in message.content:
            if block.type == "text":
                reading.text += block.text
            elif block.type == "thinking":
                reading.reasoning += block.thinking
            elif block.type == "tool_use":
                reading.tools.append((block.id, block.name, block.input))
        reading.reason = vocabulary.from_anthropic(message.stop_reason or "")
        usage = message.usage
        reading.cached = usage.cache_read_input_tokens or 0
        reading.input = usage.input_tokens + reading.cached + (usage.cache_creation_input_tokens or 0)
        reading.output = usage.output_tokens
        return reading


def _of_response(response: Any) -> Reading:
    reading = Reading()
    for item in response.output:
        if item.type == "message":
            reading.text += "".join(part.text for part in item.content if part.type == "output_text")
        elif item.type == "reasoning":
            reading.reasoning += "".join(part.text for part in [*item.summary, *(item.content or [])])
        else:
            reading.tools.append((item.call_id, item.name, json.loads(item.arguments)))
    details = response.incomplete_details
    reading.reason = _RESPONSE_REASONS[None if details is None else details.reason]
    usage = response.usage
    reading.input, reading.output = usage.input_tokens, usage.output_tokens
    reading.cached = usage.input_tokens_details.cached_tokens
    return reading


_RESPONSE_REASONS = {
    None: StopReason.END,
    "max_output_tokens": StopReason.LENGTH,
    "content_filter": StopReason.REFUSAL,
}
