"""
The strict check of a stream of the Responses API; `stream_validators` has those of the other dialects.

It knows the protocol and nothing of how the stream was made: every item is announced, said in deltas, said whole and
ended, one after the other, and the last event says all of it again.
"""

import json
import re
from typing import Any

from tests.support.stream_validators import Seen, Tool

_FRAME = re.compile(rb"event: ([a-z_.]+)\ndata: ([^\r\n]+)\n\n|: [^\r\n]*\n\n")
_HEAD = {"type", "sequence_number"}
_PLACE = {"item_id", "output_index"}
_ITEM_IDS = {"message": "msg_", "reasoning": "rs_", "function_call": "fc_", "custom_tool_call": "fc_"}
_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}
_ALWAYS = {
    *("id", "object", "created_at", "status", "error", "incomplete_details", "instructions", "max_output_tokens"),
    *("metadata", "model", "output", "parallel_tool_calls", "previous_response_id", "reasoning", "store"),
    *("temperature", "text", "tool_choice", "tools", "top_p", "truncation", "usage"),
}
# What carries the text of a part: the event's stem, and the member that holds the whole of it.
_PARTS = {
    "output_text": ("response.output_text", "text", "content_index", "content_part"),
    "refusal": ("response.refusal", "refusal", "content_index", "content_part"),
    "reasoning_text": ("response.reasoning_text", "text", "content_index", "content_part"),
    "summary_text": ("response.reasoning_summary_text", "text", "summary_index", "reasoning_summary_part"),
}


def check_responses_stream(stream: bytes) -> Seen:
    """Check a whole stream; `Seen.blocks` are the output items, `Seen.reason` the status of the response."""
    state = _Responses()
    at = 0
    while at < len(stream):
        match = _FRAME.match(stream, at)
        assert match, f"not a frame: {stream[at : at + 200]!r}"
        at = match.end()
        if match[1] is not None:
            body = json.loads(match[2].decode(), strict=True)
            assert body["type"] == match[1].decode(), "the event's name is its type"
            state.take(body)
    assert state.over, "a stream ends with completed, incomplete or failed"
    return state.seen


def check_response(body: bytes) -> dict[str, Any]:
    """Check a batch answer."""
    response: dict[str, Any] = json.loads(body)
    _check_response(response)
    assert response["status"] in {"completed", "incomplete"}
    _check_usage(response["usage"])
    for item in response["output"]:
        assert item["id"].startswith(_ITEM_IDS[item["type"]])
    return response


def _check_response(response: dict[str, Any]) -> None:
    assert set(response) >= _ALWAYS, f"missing: {_ALWAYS - set(response)}"
    assert response["object"] == "response"
    assert response["id"].startswith("resp_")
    assert type(response["created_at"]) is int
    assert response["store"] is False
    assert (response["status"] == "failed") == (response["error"] is not None), "an error if and only if it failed"
    assert (response["status"] == "incomplete") == (response["incomplete_details"] is not None)


def _check_usage(usage: dict[str, Any]) -> None:
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is the sum"
    details = usage["input_tokens_details"]
    assert 0 <= details["cached_tokens"] + details["cache_write_tokens"] <= usage["input_tokens"]
    assert usage["output_tokens_details"]["reasoning_tokens"] >= 0


class _Responses:
    def __init__(self) -> None:
        self.seen = Seen()
        self.over = False
        self._number = 0
        self._head: dict[str, Any] = {}
        self._progress = False
        self._item: dict[str, Any] | None = None  # the open one, as it was announced
        self._part: dict[str, Any] | None = None  # the open part
        self._parts: list[dict[str, Any]] = []  # those of the open item that are whole
        self._text = ""  # of the open part or call
        self._said: str | None = None  # the arguments or the input of the open call, once whole

    def take(self, body: dict[str, Any]) -> None:
        assert not self.over, "nothing follows the end"
        assert body["sequence_number"] == self._number, "sequence numbers are 0, 1, 2, …"
        self._number += 1
        kind = body["type"]
        if kind == "error":
            self._error(body)
        elif self.seen.error is not None:
            assert kind == "response.failed", "only response.failed follows an error"
            self._failed(body["response"])
        elif kind == "response.created":
            assert self._number == 1, "response.created comes first"
            self._created(body["response"])
        elif kind == "response.in_progress":
            assert self._number == 2
            assert body["response"] == self._head
            self._progress = True
        else:
            assert self._progress, "response.created and response.in_progress come first"
            self._middle(kind, body)

    def _created(self, response: dict[str, Any]) -> None:
        _check_response(response)
        assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
        self._head = response
        self.seen.id, self.seen.model = response["id"], response["model"]

    def _error(self, body: dict[str, Any]) -> None:
        assert set(body) == _HEAD | {"code", "message", "param", "error"}
        assert set(body["error"]) - {"resets_at"} == {"message", "type", "param", "code"}
        assert isinstance(body["code"], str)
        assert body["message"] == body["error"]["message"] != ""
        assert self.seen.error is None, "one error"
        self.seen.error = body["error"]

    def _failed(self, response: dict[str, Any]) -> None:
        assert response["status"] == "failed"
        assert set(response["error"]) == {"code", "message"}
        assert self.seen.error is not None
        assert response["error"]["message"] == self.seen.error["message"]
        assert response["output"] == self.seen.blocks, "what was whole before"
        if self._head:
            _check_response(response)
            self._same_head(response)
        self.over = True

    def _middle(self, kind: str, body: dict[str, Any]) -> None:
        if kind in _ENDS:
            self._end(kind, body)
        elif kind == "response.output_item.added":
            self._added(body)
        else:
            assert self._item is not None, f"{kind} needs an open item"
            assert body["output_index"] == len(self.seen.blocks), "an event is for the open item"
            if kind == "response.output_item.done":
                self._done(body)
                return
            assert body["item_id"] == self._item["id"]
            name = kind.removeprefix("response.")
            if name.startswith(("function_call_arguments.", "custom_tool_call_input.")):
                self._call(name, body)
            else:
                self._content(kind, body)

    def _added(self, body: dict[str, Any]) -> None:
        assert set(body) == {*_HEAD, "output_index", "item"}
        assert self._item is None, "one item is open at a time"
        assert body["output_index"] == len(self.seen.blocks), "indexes are 0, 1, 2, …"
        item = body["item"]
        assert item["id"].startswith(_ITEM_IDS[item["type"]])
        assert all(item["id"] != other["id"] for other in self.seen.blocks), "ids are unique"
        if item["type"] == "message":
            assert (item["role"], item["content"], item["status"]) == ("assistant", [], "in_progress")
        elif item["type"] == "reasoning":
            assert (item["summary"], item.get("content", []), item.get("encrypted_content")) == ([], [], None)
        else:
            assert item["status"] == "in_progress"
            assert item["call_id"]
            assert item["name"]
            assert item.get("arguments", "") == item.get("input", "") == ""
            assert all(item["call_id"] != tool.id for tool in self.seen.tools), "ids of calls are unique"
        self._item, self._parts, self._text, self._said = item, [], "", None

    def _call(self, name: str, body: dict[str, Any]) -> None:
        assert self._item is not None
        stem, _, what = name.partition(".")
        member = {"function_call_arguments": "arguments", "custom_tool_call_input": "input"}[stem]
        assert member in self._item, "an event fits its item"
        assert self._said is None, "nothing is added to what was said whole"
        if what == "delta":
            assert set(body) == {*_HEAD, *_PLACE, "delta"}
            assert body["delta"], "no empty deltas"
            self._text += body["delta"]
            return
        assert what == "done"
        assert body[member] == self._text, "the whole is the sum of the deltas"
        if member == "arguments":
            assert body["name"] == self._item["name"]
        self._said = body[member]

    def _content(self, kind: str, body: dict[str, Any]) -> None:
        assert self._item is not None
        stem, _, what = kind.rpartition(".")
        if stem in {"response.content_part", "response.reasoning_summary_part"}:
            self._content_part(stem, what, body)
            return
        assert self._part is not None, f"{kind} needs an open part"
        wanted, member, index, _ = _PARTS[self._part["type"]]
        assert stem == wanted, "an event fits its part"
        assert body[index] == len(self._parts)
        if stem == "response.output_text":
            assert body["logprobs"] == []
        if what == "delta":
            assert body["delta"], "no empty deltas"
            self._text += body["delta"]
        else:
            assert what == "done"
            assert body[member] == self._text, "the whole is the sum of the deltas"
            self._part = {**self._part, member: self._text}

    def _content_part(self, stem: str, what: str, body: dict[str, Any]) -> None:
        part = body["part"]
        _, member, index, wanted = _PARTS[part["type"]]
        assert stem == f"response.{wanted}"
        assert body[index] == len(self._parts)
        if what == "added":
            assert self._part is None, "one part is open at a time"
            assert part[member] == ""
            self._part, self._text = part, ""
            return
        assert part == self._part, "a part is ended as it was said"
        self._parts.append(part)
        self._part = None

    def _done(self, body: dict[str, Any]) -> None:
        item, added = body["item"], self._item
        assert added is not None
        assert self._part is None, "parts are ended before their item"
        assert item["id"] == added["id"]
        assert item["type"] == added["type"]
        if item["type"] == "message":
            assert item["content"] == self._parts != []
            assert item["status"] == "completed"
            self.seen.text += "".join(part["text"] for part in self._parts if part["type"] == "output_text")
            self.seen.refusal += "".join(part["refusal"] for part in self._parts if part["type"] == "refusal")
        elif item["type"] == "reasoning":
            assert [*item["summary"], *item.get("content", [])] == self._parts
            assert self._parts or item.get("encrypted_content"), "no empty items"
            self.seen.reasoning += self._text
        else:
            said = item["arguments"] if item["type"] == "function_call" else item["input"]
            assert said == self._said, "a call is ended as it was said"
            assert {**item, "status": 0, "arguments": 0, "input": 0} == {
                **added,
                "status": 0,
                "arguments": 0,
                "input": 0,
            }
            assert item["status"] in {"completed", "incomplete"}
            self.seen.tools.append(Tool(item["call_id"], item["name"], said))
        self.seen.blocks.append(item)
        self._item, self._text = None, ""

    def _end(self, kind: str, body: dict[str, Any]) -> None:
        assert self._item is None, "items are ended before the response"
        assert kind != "response.failed", "an error comes before response.failed"
        response = body["response"]
        _check_response(response)
        self._same_head(response)
        assert response["status"] == _ENDS[kind]
        assert response["output"] == self.seen.blocks, "the last event says all of it again"
        _check_usage(response["usage"])
        self.seen.reason, self.seen.usage = response["status"], response["usage"]
        self.over = True

    def _same_head(self, response: dict[str, Any]) -> None:
        changing = dict.fromkeys(("status", "output", "usage", "error", "incomplete_details"))
        assert {**response, **changing} == {**self._head, **changing}, "all else stays what it was"
