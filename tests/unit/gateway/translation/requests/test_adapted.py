"""Words for the model go behind the client's own, wherever its system prompt stands."""

import json
from typing import Any

import pytest

from services.gateway.translation.requests.adapted import adapted, decode_members, with_words
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.mend import BROKEN

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
USER = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "S"}
WORDS = {"type": "text", "text": "W"}


def _with(upstream: WireFormat, body: dict[str, Any]) -> dict[str, Any]:
    members = with_words(decode_members(json.dumps(body)), upstream, "W")
    return {name: json.loads(bytes(value)) for name, value in members.items()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([USER], [{"role": "system", "content": "W"}, USER]),
        ([{"role": "system", "content": "S"}, USER], [{"role": "system", "content": "S\n\nW"}, USER]),
        ([{"role": "developer", "content": [TEXT]}], [{"role": "developer", "content": [TEXT, WORDS]}]),
        ([{"role": "system", "content": None}], [{"role": "system", "content": "W"}]),
    ],
)
def test_in_openais_format_the_first_message_holds_them(before: list[Any], after: list[Any]) -> None:
    assert _with(OPENAI, {"n": 1.5, "messages": before}) == {"n": 1.5, "messages": after}


@pytest.mark.parametrize(
    ("before", "after"), [({}, "W"), ({"system": "S"}, "S\n\nW"), ({"system": [TEXT]}, [TEXT, WORDS])]
)
def test_in_anthropics_format_the_system_prompt_does(before: dict[str, Any], after: Any) -> None:
    assert _with(ANTHROPIC, {"messages": [USER], **before}) == {"messages": [USER], "system": after}


@pytest.mark.parametrize(("upstream", "body"), [(OPENAI, {}), (OPENAI, {"messages": [7]}), (ANTHROPIC, {"system": 7})])
def test_another_shape_is_reported(upstream: WireFormat, body: dict[str, Any]) -> None:
    with pytest.raises(BROKEN):
        _with(upstream, body)


def test_a_body_is_made_of_its_members_and_says_what_was_lost() -> None:
    members = decode_members(b'{"a": 1.50, "b":[ ]}')
    found = adapted(members, OPENAI, "x", "y")

    assert (found.outline.body, found.outline.members, found.dropped) == (b'{"a":1.50,"b":[ ]}', members, ("x", "y"))
    assert adapted(members, ANTHROPIC).dropped == ()
