"""One OpenAI chunk with its repairs."""

from services.gateway.translation.passthrough.openai_rewrite import CallEdit, ChoiceEdit, rewritten, usage_chunk

HEAD = b'"id":"c","object":"chat.completion.chunk"'


def test_values_that_are_not_changed_keep_their_bytes_and_order() -> None:
    chunk = b'{ "id" : "\\u0063", "big": 123456789012345678901, "choices" : [ {"delta": {"role":"a","content":"\\/"}} ], "x": 1.50}'

    assert rewritten(chunk, [ChoiceEdit(drop_role=True)]) == (
        b'data: {"id":"\\u0063","big":123456789012345678901,"choices":[{"delta":{"content":"\\/"}}],"x":1.50,'
        b'"object":"chat.completion.chunk"}\n\n'
    )


def test_usage_is_taken_out_and_the_object_named() -> None:
    assert (
        rewritten(b'{"id":"c","object":"","usage":{"a":1},"choices":[]}', [])
        == b"data: {" + HEAD + b',"choices":[]}\n\n'
    )


def test_only_the_choices_that_need_it_are_changed() -> None:
    chunk = b"{" + HEAD + b',"choices":[{"index":1,"finish_reason":"x"},{"index":0,"finish_reason":"y"}]}'

    assert rewritten(chunk, [None, ChoiceEdit(finish="stop")]) == (
        b"data: {" + HEAD + b',"choices":[{"index":1,"finish_reason":"x"},{"index":0,"finish_reason":"stop"}]}\n\n'
    )


def test_a_call_gets_its_index_and_loses_its_id_and_name() -> None:
    chunk = b"{" + HEAD + b',"choices":[{"delta":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{"}}]}}]}'
    edit = ChoiceEdit(calls=(CallEdit(index=2, drop_id=True, drop_name=True),))

    assert rewritten(chunk, [edit]) == (
        b"data: {" + HEAD + b',"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"{"},"index":2}]}}]}\n\n'
    )


def test_a_usage_chunk_has_no_choices_and_the_usage_last() -> None:
    chunk = b'{"usage":{"a":1},"id":"c","choices":[{"delta":{}}],"created":1}'

    assert usage_chunk(chunk) == (
        b'data: {"id":"c","choices":[],"created":1,"object":"chat.completion.chunk","usage":{"a":1}}\n\n'
    )
