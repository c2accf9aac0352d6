"""
An agent completes a tool round trip on the start plan, with a captcha challenge in the middle.

The agent is not told of the captcha: its second request waits, kept alive, until the owner has completed one.
"""

import asyncio
import json
from pathlib import Path

import pytest

from services.chassis.secret import Secret
from services.gateway.wire.formats import WireFormat
from tests.support.chat_sockets import checked
from tests.support.npm_clients import CLAUDE_CODE, CODEX, SECONDS, Agent
from tests.support.start_plan import START_PATH, running_start_plan

pytestmark = pytest.mark.clients

KEY = "client-key.of-this-test"


@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX], ids=lambda agent: agent.name)
@pytest.mark.parametrize("upstream", [WireFormat.OPENAI, WireFormat.ANTHROPIC], ids=lambda upstream: upstream.value)
async def test_an_agent_completes_a_tool_round_trip_with_a_captcha_in_the_middle(
    agent: Agent, upstream: WireFormat, tmp_path: Path
) -> None:
    prompt = "Run `sort words.txt | tee made.txt`"
    changes = {"auth": {"proxy_api_key": Secret(KEY)}, "limits": {"hold_headers": 0.2, "ping": 0.2, "drain": 0.5}}
    place, files = tmp_path / "agent", {"words.txt": "quince\napricot\n"}
    async with running_start_plan(
        tmp_path, upstream_format=upstream.value, changes=changes, calm=1, challenges=1
    ) as plan:
        run_of_agent = asyncio.to_thread(agent.run, plan.gateway.url, KEY, prompt, place, files)
        running = plan.calls.start(run_of_agent, name="agent")
        await plan.person.asked()
        async with asyncio.timeout(SECONDS):
            while b": keep-alive" not in plan.gateway.answers[-1].body:
                await asyncio.sleep(0.05)
        await plan.person.complete("token-of-the-owner")
        run = await running

    assert run.exit_code == 0, str(run)
    assert (run.workspace / "made.txt").read_text() == "apricot\nquince\n", str(run)
    assert run.text.startswith("(simulated answer) The tool "), str(run)
    assert "apricot" in run.text
    assert [START_PATH[upstream]] * 3 == [request.path for request in plan.upstream]
    assert [None, None, "token-of-the-owner"] == plan.tokens
    assert plan.upstream[1].body == plan.upstream[2].body
    calling, answering = plan.gateway.answers
    assert [(200, True), (200, True)] == [(answer.status, answer.whole) for answer in (calling, answering)]
    [call] = checked(agent.dialect, calling.body).tools
    assert json.loads(call.arguments)[agent.command] == "sort words.txt | tee made.txt"
    assert call.id in plan.upstream[2].body.decode()
    assert "apricot\\nquince" in json.dumps(json.loads(plan.upstream[2].body)["messages"])
