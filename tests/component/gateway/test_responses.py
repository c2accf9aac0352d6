"""What is the Responses API's own, through the whole gateway; what it shares with the other dialects is tested there."""

import httpx2
import pytest

from tests.support.dialects import PATH, RESPONSES, client_of, error_in, small
from tests.support.gateway import running_gateway
from tests.support.responses_validator import check_response, check_responses_stream

each_upstream_format = pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])


@each_upstream_format
async def test_a_whole_answer_and_a_stream_say_the_same(upstream_format: str) -> None:
    script = "sim:text=one%20two;reasoning=first;tools=2"
    async with running_gateway(upstream_format=upstream_format) as gateway, client_of(gateway) as client:
        whole = await client.post(PATH[RESPONSES], json=small(RESPONSES, script))
        streamed = await client.post(PATH[RESPONSES], json=small(RESPONSES, script, stream=True))

    response, seen = check_response(whole.content), check_responses_stream(streamed.content)
    # Ids are the upstream's, and another in each answer.
    kept = ("type", "content", "summary", "name", "arguments", "status")
    said, again = (
        [{name: item.get(name) for name in kept} for item in items] for items in (response["output"], seen.blocks)
    )
    assert said == again
    assert [item["type"] for item in said] == ["reasoning", "message", "function_call", "function_call"]


@each_upstream_format
async def test_what_was_lost_is_named_on_the_answer(upstream_format: str) -> None:
    asked = small(RESPONSES, store=True, truncation="auto", tools=[{"type": "web_search"}], prompt_cache_key="k")
    async with running_gateway(upstream_format=upstream_format) as gateway, client_of(gateway) as client:
        answer = await client.post(PATH[RESPONSES], json=asked)

    assert 200 == answer.status_code
    assert {"store", "truncation", "tools.web_search", "prompt_cache_key"} == set(
        answer.headers["x-zcode-dropped-params"].split(", ")
    )


async def test_the_default_model_serves_who_names_none() -> None:
    async with running_gateway(default_model="glm-5.2") as gateway, client_of(gateway) as client:
        answer = await client.post(PATH[RESPONSES], json={"input": "hi"})

    assert "glm-5.2" == check_response(answer.content)["model"]
    assert b'"model":"glm-5.2"' in gateway.upstream_requests[0].body


async def test_nothing_is_kept_to_be_asked_for() -> None:
    async with running_gateway() as gateway, client_of(gateway) as client:
        listed = await client.get(PATH[RESPONSES])
        fetched = await client.get(f"{PATH[RESPONSES]}/resp_1")
        deleted = await client.delete(f"{PATH[RESPONSES]}/resp_1")
        compacted = await client.post(f"{PATH[RESPONSES]}/compact", json={})

    assert (405, "POST, OPTIONS") == (listed.status_code, listed.headers["allow"])
    for answer in (fetched, deleted, compacted):
        assert 404 == answer.status_code
        assert "no response is stored" in error_in(RESPONSES, answer).message


async def test_it_is_counted_under_its_own_route() -> None:
    async with running_gateway() as gateway, client_of(gateway) as client, httpx2.AsyncClient() as admin:
        assert 200 == (await client.post(PATH[RESPONSES], json=small(RESPONSES))).status_code
        seen = (await admin.get(f"{gateway.admin_url}/metrics")).text

    [line] = [line for line in seen.splitlines() if line.startswith("zcode_requests_total{")]
    assert 'route="/v1/responses"' in line
    assert 'status_class="2xx"' in line
