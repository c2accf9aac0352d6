from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_OPENAI, Dialect
from services.gateway.translation.names import ToolNames
from services.gateway.translation.requests.anthropic_messages import Conversation
from services.gateway.translation.requests.anthropic_options import sampling, stubs_of, user
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.wire.anthropic import MessagesRequest


def asked(**fields: Any) -> MessagesRequest:
    return MessagesRequest(model="m", messages=[], **fields)


@pytest.mark.parametrize(
    ("dialect", "given", "sent", "noted"),
    [
        (Dialect(), {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, []),
        (Dialect(temperature_max=1.0), {"temperature": 1.5}, {"temperature": 1.0}, ["temperature=1"]),
        (GLM_OPENAI, {"temperature": 0}, {"do_sample": False}, []),
        (GLM_OPENAI, {"top_p": 0}, {"top_p": 0.01}, ["top_p=0.01"]),
        (Dialect(), {"top_k": 5}, {}, ["top_k"]),
        (Dialect(top_k=True), {"top_k": 5}, {"top_k": 5}, []),
        (Dialect(), {}, {}, []),
    ],
)
def test_sampling_stays_within_the_upstreams_range(
    dialect: Dialect, given: dict[str, Any], sent: dict[str, Any], noted: list[str]
) -> None:
    dropped: list[str] = []

    assert sampling(asked(**given), dialect, dropped) == sent
    assert dropped == noted


@pytest.mark.parametrize(
    ("dialect", "name", "sent"),
    [
        (Dialect(), "bob", {"user": "bob"}),
        (Dialect(user_field="user_id", user_id_min=9), "bob", {"user_id": "81b637d8fcd2c6da"}),
        (Dialect(user_field=None), "bob", {}),
    ],
)
def test_the_user_is_named_as_the_upstream_wants_it(dialect: Dialect, name: str, sent: dict[str, str]) -> None:
    dropped: list[str] = []
    found = user(asked(metadata={"user_id": msgspec.Raw(msgspec.json.encode(name))}), dialect, dropped)

    assert {field: value[:16] for field, value in found.items()} == sent
    assert dropped == ([] if sent else ["metadata.user_id"])


@pytest.mark.parametrize("needed", [True, False])
def test_tools_of_the_history_are_defined_where_the_upstream_wants_that(*, needed: bool) -> None:
    dialect = Dialect(tool_calls_without_tools=not needed)
    conversation = Conversation(dialect=dialect, names=ToolNames(), limits=RequestLimits(), model="m", dropped=[])
    assert stubs_of(conversation, dialect) == {}

    conversation.called += ["f", "g", "f"]
    names = [tool["function"]["name"] for tool in stubs_of(conversation, dialect).get("tools", [])]
    assert names == (["f", "g"] if needed else [])
