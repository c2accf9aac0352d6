"""Whole requests of real shape, for both upstream formats; `pytest --update-golden` shows what changes."""

import json
from collections.abc import Callable

import msgspec
import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI
from services.gateway.translation.context import TranslatedRequest
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.responses_to_anthropic import responses_to_anthropic
from services.gateway.translation.requests.responses_to_openai import responses_to_openai
from tests.support.golden import Golden, cases

PAIR = "responses"


def _anthropic(body: bytes) -> TranslatedRequest:
    return responses_to_anthropic(
        body, GLM_ANTHROPIC, upstream_model="glm-4.7", default_max_tokens=32_768, limits=RequestLimits()
    )


def _openai(body: bytes) -> TranslatedRequest:
    return responses_to_openai(body, GLM_OPENAI, upstream_model="glm-4.7", limits=RequestLimits())


@pytest.mark.parametrize("upstream", ["anthropic", "openai"])
@pytest.mark.parametrize("case", cases(PAIR))
def test_golden_requests(case: str, upstream: str, golden: Golden) -> None:
    translate = {"anthropic": _anthropic, "openai": _openai}[upstream]
    body = golden.read(f"{PAIR}/{case}", "client.json")

    out = translate(body)

    golden.check_json(f"{PAIR}/{case}", f"{upstream}.json", out.body)
    golden.check_json(f"{PAIR}/{case}", f"{upstream}_dropped.json", msgspec.json.encode(out.dropped))
    assert translate(body) == out


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


def _messages(translated: TranslatedRequest) -> list[bytes]:
    return [bytes(message) for message in msgspec.json.decode(translated.body, type=_Body).messages]


@pytest.mark.parametrize("translate", [_anthropic, _openai])
def test_a_longer_history_begins_with_the_bytes_of_the_shorter_one(
    translate: Callable[[bytes], TranslatedRequest], golden: Golden
) -> None:
    whole = json.loads(golden.read(f"{PAIR}/codex_turn", "client.json"))
    # Where a client's turn may end: before the assistant, and after the outputs of its calls.
    for end, more in ((4, 10), (10, 12), (12, 15)):
        shorter, longer = (
            _messages(translate(msgspec.json.encode({**whole, "input": whole["input"][:stop]}))) for stop in (end, more)
        )
        assert longer[: len(shorter)] == shorter
