"""Whole requests of real shape; what each part of one comes to is tested beside the part."""

import json

import msgspec
import pytest

from services.gateway.dialect import GLM_OPENAI
from services.gateway.translation.context import TranslatedRequest
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.responses_to_openai import responses_to_openai
from tests.support.golden import Golden, cases

PAIR = "responses"


def _translate(body: bytes) -> TranslatedRequest:
    return responses_to_openai(body, GLM_OPENAI, upstream_model="glm-4.7", limits=RequestLimits())


@pytest.mark.parametrize("case", cases(PAIR))
def test_golden_requests(case: str, golden: Golden) -> None:
    body = golden.read(f"{PAIR}/{case}", "client.json")

    out = _translate(body)

    golden.check_json(f"{PAIR}/{case}", "openai.json", out.body)
    golden.check_json(f"{PAIR}/{case}", "openai_dropped.json", msgspec.json.encode(out.dropped))
    assert _translate(body) == out


class _Body(msgspec.Struct):
    messages: list[msgspec.Raw]


def _messages(body: bytes) -> list[bytes]:
    return [bytes(message) for message in msgspec.json.decode(_translate(body).body, type=_Body).messages]


# Where a client's turn may end: before the assistant, and after the outputs of its calls.
@pytest.mark.parametrize(("end", "more"), [(4, 10), (10, 12), (12, 15)])
def test_a_longer_history_begins_with_the_bytes_of_the_shorter_one(end: int, more: int, golden: Golden) -> None:
    whole = json.loads(golden.read(f"{PAIR}/codex_turn", "client.json"))
    shorter, longer = (
        _messages(msgspec.json.encode({**whole, "input": whole["input"][:stop]})) for stop in (end, more)
    )

    assert longer[: len(shorter)] == shorter
    assert len(longer) > len(shorter)
