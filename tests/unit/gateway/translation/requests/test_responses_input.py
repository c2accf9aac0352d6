from typing import Any

import pytest

from services.gateway.dialect import MidSystem
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from services.gateway.translation.requests.responses_reasoning import Carried, sealed
from tests.support.responses_requests import USER, Json, call, function, output, request, sent, to_anthropic, to_openai

PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE: Json = {"type": "input_image", "image_url": PIXEL}
BLOCK: Json = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
PDF: Json = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}


def text(said: str, kind: str = "input_text") -> Json:
    return {"type": kind, "text": said}


def reasoning(carried: Carried | None = None, **fields: Any) -> Json:
    encrypted = {} if carried is None else {"encrypted_content": sealed(carried)}
    return {"type": "reasoning", "id": "rs_1", "summary": [], **encrypted, **fields}


def messages(*items: Json, **dialect: Any) -> list[Json]:
    found: list[Json] = sent(to_anthropic(request(*items), **dialect))["messages"]
    return found


def openai_messages(*items: Json, **dialect: Any) -> list[Json]:
    found: list[Json] = sent(to_openai(request(*items), **dialect))["messages"]
    return found


def test_a_text_alone_is_the_users_message() -> None:
    assert messages() == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    assert openai_messages() == [{"role": "user", "content": "hi"}]


def test_instructions_and_leading_developers_are_the_system_prompt() -> None:
    items = [{"role": "developer", "content": "b"}, {"role": "system", "content": [text("c"), text("d")]}, USER]

    body = sent(to_anthropic(request(*items, instructions="a")))
    assert [block["text"] for block in body["system"]] == ["a", "b", "c", "d"]
    assert sent(to_openai(request(*items, instructions="a")))["messages"][0] == {
        "role": "system",
        "content": "a\n\nb\n\nc\n\nd",
    }


@pytest.mark.parametrize(
    ("mid", "roles"),
    [
        (MidSystem.NATIVE, ["user", "system", "user"]),
        (MidSystem.REMINDER, ["user"]),
        (MidSystem.HOIST, ["user"]),
    ],
)
def test_a_developer_in_mid_conversation(mid: MidSystem, roles: list[str]) -> None:
    body = sent(to_anthropic(request(USER, {"role": "developer", "content": "now"}, USER), mid_system=mid))

    assert [message["role"] for message in body["messages"]] == roles
    assert ("system" in body) == (mid is MidSystem.HOIST)
    reminded = "<system-reminder>\nnow\n</system-reminder>" in str(body).replace("\\n", "\n")
    assert reminded == (mid is MidSystem.REMINDER)


def test_what_the_assistant_did_in_a_row_is_one_message_in_its_order() -> None:
    items = [
        USER,
        reasoning(Carried("a", "s1")),
        {"type": "message", "role": "assistant", "content": [text("b", "output_text")]},
        reasoning(Carried(redacted="zzz")),
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "c"}]},
        call(arguments='{"x": 1}'),
        output(),
    ]

    assert messages(*items)[1]["content"] == [
        {"type": "thinking", "thinking": "a", "signature": "s1"},
        {"type": "text", "text": "b"},
        {"type": "redacted_thinking", "data": "zzz"},
        {"type": "text", "text": "c"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {"x": 1}},
    ]
    [_, assistant, result] = openai_messages(*items)
    assert (assistant["content"], assistant["reasoning_content"]) == ("bc", "a")
    assert assistant["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x": 1}'}
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "done"}


def test_results_stand_in_the_order_of_the_calls_and_what_came_between_after_them() -> None:
    items = [USER, call("c1"), call("c2"), output("c2", "two"), USER, output("c1", "one")]

    [result, other, user] = messages(*items)[2]["content"]
    assert (result["content"], other["content"], user["text"]) == ("one", "two", "hi")
    assert [message["role"] for message in openai_messages(*items)] == ["user", "assistant", "tool", "tool", "user"]


def test_what_was_said_between_two_calls_waits_for_both() -> None:
    items = [USER, call("c1"), USER, call("c2"), output("c1"), output("c2")]

    assert [message["role"] for message in messages(*items)] == ["user", "assistant", "user"]


def test_an_id_that_is_used_again_is_another_one_at_anthropic() -> None:
    items = [USER, call("c1"), output("c1"), call("c1"), output("c1"), call("c.1"), output("c.1")]
    found = messages(*items)
    uses = [message["content"][0]["id"] for message in found if message["role"] == "assistant"]

    assert len(set(uses)) == 3
    assert [message["content"][0]["tool_use_id"] for message in found[2::2]] == uses
    assert all(part.isalnum() for use in uses for part in use.split("_"))
    assert openai_messages(*items)[1]["tool_calls"][0]["id"] == openai_messages(*items)[3]["tool_calls"][0]["id"]


def test_calls_of_custom_tools_and_namespaces_are_calls_of_what_stands_for_them() -> None:
    items = [
        USER,
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** x"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch"},
        output("c2"),
        call("c3", namespace="n"),
        output("c3"),
    ]
    found = messages(*items)

    assert [message["content"][0]["name"] for message in found[1::2]] == ["patch", "patch", "n__f"]
    assert [message["content"][0]["input"] for message in found[1::2]] == [{"input": "*** x"}, {"input": ""}, {}]


@pytest.mark.parametrize(
    ("arguments", "given"), [("", {}), ("7", {"value": 7}), ('{"x":', {"__raw_arguments": '{"x":'})]
)
def test_arguments_that_are_no_object_are_kept_in_one(arguments: str, given: Json) -> None:
    assert messages(USER, call(arguments=arguments), output())[1]["content"][0]["input"] == given


def test_an_output_may_hold_pictures() -> None:
    items = [USER, call(), output(said=[text("see"), IMAGE])]
    inside = messages(*items)[2]["content"]
    after = messages(*items, tool_result_images=False)[2]["content"]

    assert inside == [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "see"}, BLOCK]}]
    assert [block["type"] for block in after] == ["tool_result", "text", "image"]
    assert openai_messages(*items)[3]["content"][1] == {"type": "image_url", "image_url": {"url": PIXEL}}


def test_a_picture_that_the_model_cannot_see_is_said_to_be_there() -> None:
    items = [{"role": "user", "content": [text("a"), IMAGE]}, call(), output(said=[text("see"), IMAGE])]
    told = to_openai(request(*items), images=False, images_in_words=True)

    user, _, result = sent(told)["messages"]
    assert (user["content"], result["content"]) == (f"a\n\n{UNSEEN_IMAGE}", f"see\n{UNSEEN_IMAGE}")
    assert told.dropped == ("input_image",)


def test_an_output_may_be_empty() -> None:
    empty = [USER, call(), output(said="")]

    assert messages(*empty)[2]["content"] == [{"type": "tool_result", "tool_use_id": "c1"}]
    assert messages(*empty, empty_tool_result="-")[2]["content"][0]["content"] == "-"
    assert messages(USER, call(), output(said=None))[2]["content"][0].get("content") is None
    assert messages(USER, call(), output(said=[]))[2]["content"][0].get("content") is None


def test_pictures_and_files_of_the_user() -> None:
    items = [{"role": "user", "content": [text("see"), text(""), {**IMAGE, "detail": "high"}, PDF]}]
    out = to_anthropic(request(*items), files=True)

    [said, picture, file] = sent(out)["messages"][0]["content"]
    assert (said["text"], picture, file["title"]) == ("see", BLOCK, "a.pdf")
    assert out.dropped == ("input_image.detail",)
    assert openai_messages(*items, files=True)[0]["content"][2]["file"]["filename"] == "a.pdf"


def test_reasoning_that_cannot_be_opened_is_named_and_its_open_text_kept() -> None:
    shown = {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]}
    whole = {"content": [{"type": "reasoning_text", "text": "c"}, {"type": "reasoning_text", "text": "d"}]}
    foreign = {"encrypted_content": "gAAAA"}
    out = to_openai(request(USER, reasoning(**shown, **foreign), call(), output()))
    every = to_openai(request(USER, reasoning(**shown, **whole), call(), output()))

    assert out.dropped == ("input.encrypted_content",)
    assert sent(out)["messages"][1]["reasoning_content"] == "a\n\nb"
    assert every.dropped == ()
    assert sent(every)["messages"][1]["reasoning_content"] == "cd"


@pytest.mark.parametrize(
    ("carried", "verify", "field", "kept"),
    [
        (Carried("a", "s"), True, "thinking", True),
        (Carried("a"), True, "thinking", False),
        (Carried(redacted="z"), True, "thinking", True),
        (Carried("", "s"), True, "thinking", True),
        (Carried("a"), False, "thinking", True),
        (Carried("a", "s"), False, None, False),
        (Carried(redacted="z"), False, None, False),
    ],
)
def test_reasoning_goes_back_as_far_as_the_upstream_takes_it(
    carried: Carried, *, verify: bool, field: str | None, kept: bool
) -> None:
    items = [USER, reasoning(carried), {"role": "assistant", "content": "x"}, USER]
    out = to_anthropic(request(*items), verify_signatures=verify, reasoning_field=field)

    assert ("input.reasoning" in out.dropped) == (not kept)
    assert (len(sent(out)["messages"][1]["content"]) == 2) == kept


def test_opaque_reasoning_has_no_place_in_chat_completions() -> None:
    items = [USER, reasoning(Carried(redacted="z")), {"role": "assistant", "content": "x"}, USER]

    assert to_openai(request(*items)).dropped == ("input.reasoning",)


def test_empty_reasoning_and_empty_messages_are_nothing() -> None:
    items = [USER, reasoning(), {"role": "assistant", "content": []}, {"role": "developer", "content": ""}, USER]
    out = to_anthropic(request(*items))

    assert sent(out)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}] * 2}]
    assert out.dropped == ()


@pytest.mark.parametrize("kind", ["web_search_call", "image_generation_call", "tool_search_call", "tool_search_output"])
def test_what_the_vendors_own_tools_did_before_is_left_out_and_named(kind: str) -> None:
    assert to_openai(request(USER, {"type": kind, "id": "x"}, USER)).dropped == (f"input.{kind}",)


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
@pytest.mark.parametrize(
    ("items", "param", "says"),
    [
        ([{"role": "user", "content": ""}], "input.0.content", "must not be empty"),
        ([{"role": "user"}], "input.0.content", "must not be empty"),
        ([{"role": "tool", "content": "x"}], "input.0.role", "user, assistant, system or developer"),
        ([{"role": "developer", "content": [IMAGE]}], "input.0.content", "text alone"),
        ([{"role": "developer", "content": "x"}], "input", "at least one message"),
        ([USER, call()], "input.1", "no output answers call 'c1'"),
        ([USER, call(), call("c2"), output(), USER, {"role": "assistant", "content": "x"}], "input.2", "call 'c2'"),
        ([USER, call(), call("c2"), output(), call("c3")], "input.2", "call 'c2'"),
        ([USER, call(), call()], "input.2.call_id", "is the id of a call before"),
        ([USER, output()], "input.1.call_id", "no call before it that waits"),
        ([USER, call(), call("c2"), output(), output()], "input.4.call_id", "no call before it that waits"),
        ([USER, {"type": "function_call_output", "output": "x"}], "input.1.call_id", "no call before it"),
        ([USER, {"type": "function_call", "call_id": "c"}], "input.1.name", "Field required"),
        ([USER, {"type": "function_call", "name": "f"}], "input.1.call_id", "Field required"),
        ([USER, {"type": "item_reference", "id": "x"}], "input.1.type", "send the item itself"),
        ([USER, {"type": "compaction", "encrypted_content": "x"}], "input.1.type", "send the items"),
        ([USER, {"type": "computer_call"}], "input.1.type", "not supported"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "input.0.content.0.type", "'input_audio'"),
        (
            [{"role": "user", "content": [{"type": "input_image", "file_id": "x"}]}],
            "input.0.content.0.image_url",
            "send the data",
        ),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input.0.content.0.image_url", "Field required"),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "ftp://x"}]}],
            "input.0.content.0.image_url",
            "only data:",
        ),
        (
            [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}],
            "input.0.content.0.file_data",
            "send the data",
        ),
        ([{"role": "user", "content": [PDF]}], "input.0.content.0.file_data", "document blocks are not supported"),
        ([USER, call(arguments='{"a":' * 70 + "1" + "}" * 70), output()], "input.1.arguments", "nested deeper"),
        ([{"role": "user", "content": 7}], "input.0.content", "valid string or list"),
    ],
)
def test_items_that_cannot_be_sent_are_refused_by_their_place(
    translate: Any, items: list[Json], param: str, says: str
) -> None:
    with pytest.raises(TranslationError) as refused:
        translate(request(*items))

    assert refused.value.param == param
    assert says in refused.value.message


def test_a_call_in_the_history_needs_no_tool_in_the_request() -> None:
    items = [USER, call(), output()]

    assert sent(to_anthropic(request(*items), tool_calls_without_tools=False))["tool_choice"] == {"type": "none"}
    assert sent(to_openai(request(*items), tool_calls_without_tools=False))["tool_choice"] == "none"
    assert sent(to_openai(request(*items, tools=[function()])))["tools"][0]["function"]["name"] == "f"
