import json

import pytest

from services.gateway.translation.context import ResponseContext, ResponsesContext, ShownTool
from services.gateway.translation.streams import response_items as items
from services.gateway.translation.streams.events import Finish, StopReason, Usage
from services.gateway.translation.streams.fold import Block, Kind

PLAIN = ResponsesContext(echo=b"")


def test_ids_say_what_they_name_and_whose_they_are() -> None:
    assert items.response_id("chatcmpl-1") == "resp_chatcmpl-1"
    assert items.response_id("resp_1") == "resp_1"
    kinds = [items.item_id(kind, "resp_1", 2) for kind in (Kind.TEXT, Kind.REASONING, Kind.REDACTED, Kind.TOOL)]
    assert kinds == ["msg_1_2", "rs_1_2", "rs_1_2", "fc_1_2"]


@pytest.mark.parametrize(
    ("arguments", "status"), [('{"x":1}', "completed"), ("", "completed"), ('{"x":', "incomplete")]
)
def test_only_a_call_that_can_be_read_is_complete(arguments: str, status: str) -> None:
    block = Block(kind=Kind.TOOL, text=arguments, id="c", name="f")

    assert items.item_of(block, "resp_1", 0, PLAIN)["status"] == status


def test_a_custom_call_that_broke_off_is_incomplete_too() -> None:
    shape = ResponsesContext(echo=b"", shown={"f": ShownTool("f", custom=True)})
    item = items.item_of(Block(kind=Kind.TOOL, text='{"input":"*** Be', id="c", name="f"), "resp_1", 0, shape)

    assert (item["type"], item["status"]) == ("custom_tool_call", "incomplete")


def test_opaque_reasoning_is_an_item_only_where_it_is_carried() -> None:
    block = Block(kind=Kind.REDACTED, text="z")

    assert not items.is_shown(block, PLAIN)
    assert items.is_shown(block, ResponsesContext(echo=b"", encrypted=True))


def test_a_count_that_was_not_said_is_nought() -> None:
    assert json.loads(items.usage_json(Usage(output=2)))["total_tokens"] == 2


def test_a_refusal_is_said_once() -> None:
    refused = Finish(StopReason.REFUSAL, refusal="no")

    assert items.refusal_of(refused, texts=False) == "no"
    assert items.refusal_of(refused, texts=True) is None
    assert items.refusal_of(Finish(StopReason.END), texts=False) is None


def test_a_response_says_its_request_again() -> None:
    context = ResponseContext(requested_model="m", responses=ResponsesContext(echo=b'"user":"u"'))
    body = items.ResponseBody("1", "up", context, 7)

    assert json.loads(body.write("in_progress", [b"{}"]))["output"] == [{}]
    assert json.loads(body.write("completed", []))["user"] == "u"
