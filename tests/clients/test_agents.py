"""
Real coding agents complete a tool round trip through the gateway, in every dialect, on both upstream formats.

The simulator asks each agent to run a command that writes a file; the agent runs it and brings its output back.
"""

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from services.all_in_one import codex_command
from services.chassis.secret import Secret
from services.cli.clients import Guide
from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.script import Script
from tests.support.answer_tee import Answer
from tests.support.gateway import RunningGateway, gateway_thread
from tests.support.npm_clients import AGENTS, CLAUDE_CODE, CODEX, MODEL, QWEN_OPENAI, Agent, Invocation, codex_alone
from tests.support.responses_validator import check_responses_stream
from tests.support.simulated import TEST_SETTINGS
from tests.support.stream_validators import Seen, check_anthropic_stream, check_openai_stream

pytestmark = pytest.mark.clients

KEY = "client-key.of-this-test"
CLIENT_PATHS = {
    WireFormat.ANTHROPIC: "/v1/messages",
    WireFormat.OPENAI: "/v1/chat/completions",
    WireFormat.RESPONSES: "/v1/responses",
}
UPSTREAM_PATHS = {"anthropic": "/api/anthropic/v1/messages", "openai": "/api/coding/paas/v4/chat/completions"}


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_an_agent_completes_a_tool_round_trip(agent: Agent, upstream_format: str, tmp_path: Path):
    prompt = "Run `sort words.txt | tee made.txt`"
    files = {"words.txt": "quince\napricot\n"}
    with gateway_thread(upstream_format=upstream_format, auth={"proxy_api_key": Secret(KEY)}) as gateway:
        run = agent.run(gateway.url, KEY, prompt, tmp_path, files)

    assert run.exit_code == 0, str(run)
    assert (run.workspace / "made.txt").read_text() == "apricot\nquince\n", str(run)
    assert run.text.startswith("(simulated answer) The tool "), str(run)
    assert "apricot" in run.text
    _no_fallback(gateway, agent, upstream_format)
    streams = [_checked(agent, upstream_format, answer) for answer in gateway.answers]
    [calling] = [seen for seen in streams if seen.tools]
    [call] = calling.tools
    assert json.loads(call.arguments)[agent.command] in (
        "sort words.txt | tee made.txt",
        ["sort words.txt | tee made.txt"],
    )
    assert streams[-1].text == run.text
    assert call.id in json.dumps(_bodies(gateway)[-1])
    assert re.search(
        r"apricot\\+nquince", json.dumps(_bodies(gateway)[-1]["messages"])
    )  # some bring it as JSON in a text


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
@pytest.mark.parametrize("agent", [CLAUDE_CODE, QWEN_OPENAI], ids=lambda agent: agent.name)
def test_an_agent_tells_its_user_why_streams_break_and_does_not_ask_for_ever(
    agent: Agent, upstream_format: str, tmp_path: Path
):
    simulator = Simulator(TEST_SETTINGS)
    for _ in range(12):
        simulator.scripts.push(Script(cut=900))
    with gateway_thread(upstream_format=upstream_format, simulator=simulator) as gateway:
        run = agent.run(gateway.url, KEY, "Hello", tmp_path)

    assert run.exit_code == 1, str(run)
    assert "API Error: The upstream broke off its answer" in run.output, str(run)
    assert len(gateway.answers) == 3
    assert all(_checked(agent, upstream_format, answer).error is not None for answer in gateway.answers)


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
@pytest.mark.parametrize("agent", [CLAUDE_CODE, CODEX, QWEN_OPENAI], ids=lambda agent: agent.name)
def test_an_agent_goes_on_by_itself_after_a_stream_that_broke(agent: Agent, upstream_format: str, tmp_path: Path):
    simulator = Simulator(TEST_SETTINGS)
    simulator.scripts.push(Script(cut=900))
    with gateway_thread(upstream_format=upstream_format, simulator=simulator) as gateway:
        run = agent.run(gateway.url, KEY, "Hello", tmp_path)

    assert run.exit_code == 0, str(run)
    assert run.text.startswith("(simulated answer)")
    broken, whole = (_checked(agent, upstream_format, answer) for answer in gateway.answers)
    assert broken.error is not None
    assert broken.error["message"].startswith("The upstream broke off its answer")
    assert whole.text == run.text


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
def test_claude_code_is_told_in_words_of_the_tools_that_it_holds_back(upstream_format: str, tmp_path: Path):
    """It answers its model's search with references, which some GLM models take for nothing."""
    with gateway_thread(upstream_format=upstream_format) as gateway:
        run = CLAUDE_CODE.run(gateway.url, KEY, "Call the tool `ToolSearch`", tmp_path)

    assert run.exit_code == 0, str(run)
    searching, told = (json.dumps(body) for body in _bodies(gateway))
    assert "defer_loading" not in searching + told
    assert "DeferredToolPlaceholder" in searching  # else it holds none back, and this shows nothing
    assert "tool_reference" not in told
    assert "Tool ToolSearch is now available." in told


@pytest.mark.parametrize("context", [200_000, 1_000_000])
def test_claude_code_knows_how_much_its_model_holds(context: int, tmp_path: Path):
    with gateway_thread() as gateway:
        run = CLAUDE_CODE.run(gateway.url, KEY, "Hello", tmp_path, context=context)

    assert run.exit_code == 0, str(run)
    assert f'"contextWindow":{context},' in run.output, str(run)
    assert {body["model"] for body in _bodies(gateway)} == {MODEL}


@pytest.mark.parametrize("closed", [False, True])
def test_the_command_that_serve_prints_starts_codex(*, closed: bool, tmp_path: Path):
    with gateway_thread(auth={"proxy_api_key": Secret(KEY)} if closed else {}) as gateway:
        printed = "\n".join(codex_command(gateway.url, closed=closed)).replace("<client key>", KEY)
        command = printed.replace("codex ", "codex exec --json --skip-git-repo-check ", 1) + " Hello"
        agent = dataclasses.replace(CODEX, prepare=lambda *_: Invocation(["sh", "-c", command], codex_alone()))
        run = agent.run(gateway.url, KEY, "", tmp_path)

    assert run.exit_code == 0, str(run)
    assert run.text.startswith("(simulated answer)")


# A server of the Model Context Protocol with one tool, whose result no model would guess.
LUCKY = """
import json, sys

RESULTS = {
    "initialize": {"capabilities": {"tools": {}}, "serverInfo": {"name": "lucky", "version": "1"}},
    "tools/list": {"tools": [{"name": "number", "description": "Says it.", "inputSchema": {"type": "object"}}]},
    "tools/call": {"content": [{"type": "text", "text": "it is 4711"}]},
}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        result = dict(RESULTS.get(asked["method"], {}))
        if asked["method"] == "initialize":
            result["protocolVersion"] = asked["params"]["protocolVersion"]
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
def test_codex_calls_a_tool_of_an_mcp_server(upstream_format: str, tmp_path: Path):
    """It offers such tools in a namespace, and wants the call to name both."""
    server = tmp_path / "lucky.py"
    server.write_text(LUCKY)
    section = f"\n[mcp_servers.lucky]\ncommand = {json.dumps(sys.executable)}\nargs = [{json.dumps(str(server))}]\n"

    def prepare(guide: Guide, prompt: str) -> Invocation:
        plain = CODEX.prepare(guide, prompt)
        files = {name: text + section for name, text in plain.home_files.items()}
        return dataclasses.replace(plain, home_files=files)

    with gateway_thread(upstream_format=upstream_format) as gateway:
        agent = dataclasses.replace(CODEX, prepare=prepare)
        run = agent.run(gateway.url, KEY, "Call the tool `mcp__lucky__number`", tmp_path / "place")

    assert run.exit_code == 0, str(run)
    assert "it is 4711" in run.text
    [item] = [item for item in _checked(CODEX, upstream_format, gateway.answers[0]).blocks if "call_id" in item]
    assert (item["namespace"], item["name"]) == ("mcp__lucky", "number")


@pytest.mark.parametrize(
    ("error", "says", "most"),
    [
        ("1308", "hit your usage limit. Try again at", 1),  # and does not sleep until then
        ("1113", "Quota exceeded", 1),
        ("1311", "choose another", 1),
        ("1305", "at capacity", 1),
        ("1302", "exceeded retry limit", 6),
        ("1000", "The plan's API key was not accepted", 6),
    ],
)
def test_codex_tells_its_user_what_is_wrong(error: str, says: str, most: int, tmp_path: Path):
    _told(CODEX, error, says, most, tmp_path)


@pytest.mark.parametrize(
    ("error", "says", "most"),
    [
        ("1308", "Your limit will reset at", 1),
        ("1113", "check `provider` and the configured base addresses", 1),
        ("1311", "choose another one", 1),
        ("1000", "The plan's API key was not accepted", 1),
        ("1110", "look at it on the provider's site", 1),
        ("1261", "Prompt is too long", 1),
        ("1301", "The content may be unsafe or sensitive", 6),  # it tries what it can leave out of the request
    ],
)
def test_claude_code_tells_its_user_what_is_wrong(error: str, says: str, most: int, tmp_path: Path):
    _told(CLAUDE_CODE, error, says, most, tmp_path)


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
def test_codex_brings_back_what_the_model_thought(upstream_format: str, tmp_path: Path):
    files = {"words.txt": "quince\napricot\n"}
    with gateway_thread(upstream_format=upstream_format) as gateway:
        run = CODEX.run(gateway.url, KEY, "Run `sort words.txt`", tmp_path, files)

    assert run.exit_code == 0, str(run)
    thought = _checked(CODEX, upstream_format, gateway.answers[0]).reasoning
    said = next(message for message in _bodies(gateway)[1]["messages"] if message["role"] == "assistant")
    assert thought.startswith("(simulated reasoning)")
    if upstream_format == "openai":
        assert said["reasoning_content"] == thought
    else:
        assert said["content"][0] == {"type": "thinking", "thinking": thought, "signature": ""}


def _told(agent: Agent, error: str, says: str, most: int, place: Path) -> None:
    """The user of an agent reads what is wrong, after at most so many requests."""
    simulator = Simulator(TEST_SETTINGS)
    for _ in range(12):
        simulator.scripts.push(Script(error=error))
    with gateway_thread(simulator=simulator, limits={"retries": 0}) as gateway:
        run = agent.run(gateway.url, KEY, "Hello", place)

    assert run.exit_code == 1, str(run)
    assert says in run.output, str(run)
    assert len(gateway.answers) <= most


def _no_fallback(gateway: RunningGateway, agent: Agent, upstream_format: str) -> None:
    """Exactly the round trip's two requests and the agent's own extras: all streamed, none of them twice."""
    requests = gateway.upstream_requests
    assert [request.path for request in requests] == [UPSTREAM_PATHS[upstream_format]] * (2 + agent.side_requests)
    assert all(body["stream"] is True for body in _bodies(gateway))
    assert len({request.body for request in requests}) == len(requests)
    assert [(answer.method, answer.path, answer.status) for answer in gateway.answers] == [
        ("POST", CLIENT_PATHS[agent.dialect], 200)
    ] * len(requests)
    assert all(answer.whole and answer.is_event_stream for answer in gateway.answers)


def _checked(agent: Agent, upstream_format: str, answer: Answer) -> Seen:
    if agent.dialect is WireFormat.ANTHROPIC:
        return check_anthropic_stream(answer.body)
    if agent.dialect is WireFormat.RESPONSES:
        return check_responses_stream(answer.body)
    return check_openai_stream(answer.body, include_usage=True, relayed=upstream_format == "openai")


def _bodies(gateway: RunningGateway) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in gateway.upstream_requests]
