"""
The conversation of an OpenAI client as Anthropic messages (translation.md A4).

Theory of operation. Messages are taken one by one. Content is always written as a list of blocks and neighbours of one
role share a message, so that a longer history begins with the bytes of the shorter one (B154). After an assistant
message with tool calls the conversation is *open*:

| state  | message            | what happens                                                                  |
|--------|--------------------|-------------------------------------------------------------------------------|
| closed | system (leading)   | joins the system prompt                                                       |
| closed | system (later)     | per Dialect.mid_system: in place, as a reminder by the user, or hoisted       |
| closed | user               | a user message                                                                |
| closed | assistant          | an assistant message; with tool calls the state becomes open; empty: skipped  |
| closed | tool, function     | refused: there is no such call                                                |
| open   | tool, function     | kept with its call; refused when the id is unknown or answered                |
| open   | system             | held back until the results are written                                       |
| open   | anything else, end | all calls answered: results are written as one user message in the order of   |
|        |                    | the calls, then what was held; closed. A call unanswered: refused             |
"""

from collections import defaultdict, deque
from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.names import ToolIds, ToolNames
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.marks import system_reminder
from services.gateway.translation.requests.openai_content import Block, Content, tool_input
from services.gateway.wire.openai import (
    AssistantMessage,
    FunctionCall,
    FunctionMessage,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)

_SHOWN: Final = 64

Key = tuple[str, str]  # how a result finds its call: ("id", …) or ("function", …)


class OutMessage(msgspec.Struct):
    """One message of the upstream's body."""

    role: str
    content: list[Any]


class _Call(msgspec.Struct):
    """A tool call that waits for its result."""

    id: str  # the upstream's
    path: str
    wanted: str  # the client's, or what stands for it
    result: Block | None = None


class Conversation:
    """Takes a client's messages in order; holds the upstream's. One per request."""

    def __init__(self, dialect: Dialect, names: ToolNames, dropped: list[str], *, depth: int) -> None:
        self.system: list[Block] = []
        self.messages: list[OutMessage] = []
        self.called: dict[str, None] = {}  # the upstream's names of the tools that were called, in order
        self._dialect = dialect
        self._names = names
        self._dropped = dropped
        self._depth = depth
        self._content = Content(dialect, dropped)
        self._ids = ToolIds()
        self._uses: dict[str, int] = {}
        self._leading = True
        self._role = ""  # the last message's
        self._calls: list[_Call] = []
        self._waiting: defaultdict[Key, deque[_Call]] = defaultdict(deque)
        self._attached: list[Block] = []
        self._held: list[Block] = []

    def add(self, message: Message, position: int) -> None:
        """Take the next message; `position` is its index in the client's list."""
        path = f"messages.{position}"
        if isinstance(message, ToolMessage):
            self._add_result(message, path)
        elif isinstance(message, AssistantMessage):
            self._close()
            self._add_assistant(message, position, path)
        elif isinstance(message, UserMessage):
            self._close()
            self._append("user", self._content.user(message, path))
        elif isinstance(message, FunctionMessage):
            self._add_function_result(message, path)
        else:  # system, developer
            self._add_system(message)
            return
        self._leading = False

    def finish(self) -> None:
        """Write what is held. Refuses calls without a result and a conversation without a message."""
        self._close()
        if not self.messages:
            raise TranslationError("messages: at least one message is required", param="messages")

    @property
    def breakpoints(self) -> list[Block]:
        """Return the blocks of the messages that carry cache_control, in order."""
        if not self._content.marked:
            return []
        return [
            block
            for message in self.messages
            for block in message.content
            if isinstance(block, dict) and "cache_control" in block
        ]

    @property
    def marked(self) -> bool:
        """Return whether any block has one, the system prompt's included."""
        return self._content.marked

    @property
    def inner_breakpoints(self) -> int:
        """Return how many there are inside of tool results."""
        return self._content.inner

    def _append(self, role: str, blocks: list[Any]) -> None:
        if not blocks:
            return
        if role == self._role:
            self.messages[-1].content.extend(blocks)
        else:
            self._role = role
            self.messages.append(OutMessage(role, blocks))

    def _add_system(self, message: SystemMessage) -> None:
        blocks = self._content.system(message)
        if not blocks:
            return
        if self._leading or self._dialect.mid_system is MidSystem.HOIST:
            self.system += blocks
        elif self._calls:
            self._held += blocks
        else:
            self._append_system(blocks)

    def _append_system(self, blocks: list[Block]) -> None:
        if self._dialect.mid_system is MidSystem.NATIVE:
            self._append("system", blocks)
            return
        for block in blocks:
            block["text"] = system_reminder(block["text"])
        self._append("user", blocks)

    def _add_assistant(self, message: AssistantMessage, position: int, path: str) -> None:
        blocks = self._content.assistant(message, path)
        for k, call in enumerate(message.tool_calls or ()):
            blocks.append(self._open_call(call, f"{path}.tool_calls.{k}", position, k))
        if message.function_call is not None:
            made_up = f"function_call {position}"
            key = ("function", message.function_call.name)
            blocks.append(self._open(message.function_call, made_up, key, f"{path}.function_call"))
        if message.cache_control is not None and blocks and isinstance(blocks[-1], dict):
            self._content.mark(blocks[-1], message.cache_control)
        self._append("assistant", blocks)

    def _open_call(self, call: ToolCall, path: str, position: int, k: int) -> Block:
        if call.type != "function" and call.type is not None:
            param = f"{path}.type"
            raise TranslationError(f"{param}: calls of type {call.type[:_SHOWN]!r} are not supported", param=param)
        if call.function is None:
            raise TranslationError(f"{path}.function: Field required", param=f"{path}.function")
        given = call.id or ""
        return self._open(call.function, given or f"call {position} {k}", ("id", given), path)

    def _open(self, function: FunctionCall, wanted: str, key: Key, path: str) -> Block:
        """Return the tool_use block. Ids are unique at Anthropic: one that occurred before gets another."""
        if not function.name:
            raise TranslationError(f"{path}.function.name: must not be empty", param=f"{path}.function.name")
        self._uses[wanted] = uses = self._uses.get(wanted, 0) + 1
        call = _Call(self._ids.upstream(wanted if uses == 1 else f"{wanted} {uses}"), path, wanted)
        self._calls.append(call)
        self._waiting[key].append(call)
        name = self._names.upstream(function.name)
        self.called[name] = None
        arguments = tool_input(function.arguments, f"{path}.function.arguments", self._depth)
        return {"type": "tool_use", "id": call.id, "name": name, "input": arguments}

    def _add_result(self, message: ToolMessage, path: str) -> None:
        given = message.tool_call_id or ""
        call = self._take(("id", given), given, path, "tool_call_id")
        call.result, attached = self._content.result(message, call.id, path)
        if attached:
            self._attached += attached

    def _add_function_result(self, message: FunctionMessage, path: str) -> None:
        call = self._take(("function", message.name), message.name, path, "name")
        call.result, _ = self._content.written_result(message.content, call.id, path)

    def _take(self, key: Key, shown: str, path: str, member: str) -> _Call:
        waiting = self._waiting.get(key)
        if not waiting:
            param = f"{path}.{member}"
            raise TranslationError(
                f"{param}: {shown[:_SHOWN]!r} is no call of the assistant message before that waits for a result",
                param=param,
            )
        return waiting.popleft()

    def _close(self) -> None:
        if not self._calls:
            return
        results: list[Block] = []
        for call in self._calls:
            if call.result is None:
                shown = call.wanted[:_SHOWN]
                raise TranslationError(f"{call.path}: no tool message answers call {shown!r}", param=call.path)
            results.append(call.result)
        self._append("user", results + self._attached)
        self._calls = []
        self._waiting.clear()
        if self._attached:
            self._attached = []
        if held := self._held:
            self._held = []
            self._append_system(held)
