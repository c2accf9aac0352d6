import json
from typing import Any

import pytest

from services.gateway.translation.streams import token_counts
from services.gateway.translation.streams.events import Usage


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, None),
        ([], None),
        ({"prompt_tokens": 100, "completion_tokens": 7}, Usage(input=100, output=7)),
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5}},
            Usage(input=15, cache_read=80, cache_write=5),
        ),
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 60}, Usage(input=40, cache_read=60)),
        ({"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 80}}, Usage(input=0, cache_read=80)),
        ({"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}, Usage(output=9, reasoning=4)),
        ({"prompt_tokens": -1, "completion_tokens": 1.5}, None),
        ({"prompt_tokens": "12", "completion_tokens": True, "prompt_tokens_details": 3}, None),
        ({"prompt_tokens": 1 << 70}, None),
    ],
)
def test_b56_openai_counts(usage: Any, read: Usage | None) -> None:
    assert token_counts.read_openai(usage) == read


def test_b131_a_later_anthropic_count_overwrites_and_a_missing_one_keeps() -> None:
    first = token_counts.read_anthropic({"input_tokens": 34824, "output_tokens": 1}, None)
    last = token_counts.read_anthropic({"input_tokens": 3883, "cache_read_input_tokens": 30464}, first)

    assert last == Usage(input=3883, cache_read=30464, output=1)
    assert token_counts.read_anthropic(None, last) == last
    assert token_counts.read_anthropic({"input_tokens": None, "output_tokens": -3}, last) == last
    assert token_counts.read_anthropic({}, None) is None
    full = {"cache_creation_input_tokens": 2, "output_tokens_details": {"thinking_tokens": 5}}
    assert token_counts.read_anthropic(full, None) == Usage(cache_write=2, reasoning=5)


def test_counts_for_an_openai_client() -> None:
    usage = Usage(input=20, cache_read=70, cache_write=10, output=5, reasoning=3)

    assert json.loads(token_counts.write_openai(usage)) == {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_tokens_details": {"cached_tokens": 70, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    assert json.loads(token_counts.write_openai(Usage()))["total_tokens"] == 0


def test_counts_for_an_anthropic_client() -> None:
    usage = Usage(input=20, cache_read=70, cache_write=10, output=5, reasoning=3)

    assert json.loads(token_counts.write_anthropic(usage)) == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 70,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 3},
    }
    assert json.loads(token_counts.write_anthropic(Usage(), 17)) == {
        "input_tokens": 17,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
    }
