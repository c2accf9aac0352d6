"""
Repairs one OpenAI chunk: what is to be changed, and the chunk with those changes.

Values that are not changed keep their bytes; only the objects around them are written anew.
"""

from typing import Final

import msgspec

from services.gateway.translation.passthrough.repair import plain

OBJECT: Final = "chat.completion.chunk"

_Members = dict[str, msgspec.Raw]
_chunk: Final = msgspec.json.Decoder(_Members)
_list: Final = msgspec.json.Decoder(list[_Members])
_encode: Final = msgspec.json.encode


class CallEdit(msgspec.Struct, frozen=True, gc=False):
    """What changes in one tool call of a delta."""

    index: int
    drop_id: bool
    drop_name: bool
    new_id: bytes = b""  # JSON; empty: as it is


class ChoiceEdit(msgspec.Struct, frozen=True, gc=False):
    """What changes in one choice."""

    drop_role: bool = False
    finish: str | None = None
    calls: tuple[CallEdit, ...] = ()


def rewritten(data: bytes, edits: list[ChoiceEdit | None]) -> bytes:
    """Return the frame of a chunk with its edits made, its object named and its usage taken out."""
    members = _chunk.decode(data)
    members.pop("usage", None)
    members["object"] = _raw(OBJECT)
    if any(edits):
        choices = _list.decode(members["choices"])
        for choice, edit in zip(choices, edits, strict=True):
            if edit is not None:
                _edit_choice(choice, edit)
        members["choices"] = _raw(choices)
    return _frame(members)


def usage_chunk(data: bytes) -> bytes:
    """Return the frame of a chunk that holds this chunk's usage and nothing else."""
    members = _chunk.decode(data)
    members["object"] = _raw(OBJECT)
    members["choices"] = msgspec.Raw(b"[]")
    members["usage"] = members.pop("usage")  # last, where it is looked for
    return _frame(members)


def _edit_choice(choice: _Members, edit: ChoiceEdit) -> None:
    if edit.finish is not None:
        choice["finish_reason"] = _raw(edit.finish)
    if not edit.drop_role and not edit.calls:
        return
    delta = _chunk.decode(choice["delta"])
    if edit.drop_role:
        del delta["role"]
    if edit.calls:
        calls = _list.decode(delta["tool_calls"])
        for call, change in zip(calls, edit.calls, strict=True):
            _edit_call(call, change)
        delta["tool_calls"] = _raw(calls)
    choice["delta"] = _raw(delta)


def _edit_call(call: _Members, edit: CallEdit) -> None:
    call["index"] = _raw(edit.index)
    if edit.drop_id:
        del call["id"]
    elif edit.new_id:
        call["id"] = msgspec.Raw(edit.new_id)
    if edit.drop_name:
        function = _chunk.decode(call["function"])
        del function["name"]
        call["function"] = _raw(function)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))


def _frame(members: _Members) -> bytes:
    return plain(_encode(members))
