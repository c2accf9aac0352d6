import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.streams.free_text import FreeText, free_text
from tests.support.generated_streams import pieces


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"a"}', "a"),
        (' {\n "input" : "a" } ', "a"),
        ('{"input":""}', ""),
        ('{"input":"a","input":"b"}', "a"),
        ('{"input":"a\\n\\"\\u00e9\\ud83d\\ude00"}', 'a\n"é\U0001f600'),
        ('{"input":"a\\ud83d"}', "a\ufffd"),
        ('{"input":"\\ude00a"}', "\ufffda"),
        ('{"input":"raw\nline\tend"}', "raw\nline\tend"),
        ('{"input":"cut', "cut"),
        ('{"input":"cut\\', "cut"),
        ('{"input":"cut\\u00', "cut"),
        ('{"input":"cut\\ud83d', "cut"),
        ('{"input":"odd\\q', "odd"),
        ('{"input":7}', '{"input":7}'),
        ('{"other":"a"}', '{"other":"a"}'),
        ('{"inp', '{"inp'),
        ("*** Begin Patch", "*** Begin Patch"),
        ("", ""),
    ],
)
def test_the_input_is_the_one_string_or_all_there_is(arguments: str, text: str) -> None:
    assert free_text(arguments) == text


@given(st.data(), st.text(), st.booleans())
def test_it_is_the_same_however_the_arguments_are_cut(data: st.DataObject, said: str, ascii_only: bool) -> None:
    said = said.encode("utf-8", "replace").decode()
    arguments = json.dumps({"input": said}, ensure_ascii=ascii_only)
    text = FreeText()
    parts = [text.feed(part) for part in data.draw(pieces(arguments, 9))]

    assert "".join(parts) == said == free_text(arguments)


@given(st.text(st.sampled_from('{}"input:\\u d83e0\n'), max_size=40), st.booleans())
def test_letter_by_letter_is_all_at_once(tail: str, shaped: bool) -> None:
    arguments = f'{{"input":"{tail}' if shaped else tail
    text = FreeText()
    said = "".join(map(text.feed, arguments))

    assert free_text(arguments) == (said if text.shaped and text.begun else arguments)
