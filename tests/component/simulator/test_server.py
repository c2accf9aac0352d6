"""The simulator over real sockets: endpoints, checks, faults below HTTP, and what it remembers."""

import asyncio
import gzip
import importlib.util
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from services.chassis.secret import Secret
from services.simulator.app import Simulator
from services.simulator.script import Script
from services.simulator.settings import SimulatorSettings
from tests.support.simulated import TEST_SETTINGS, running_simulator, simulator_thread

_ANTHROPIC = "/api/anthropic/v1/messages"
_OPENAI = "/api/coding/paas/v4/chat/completions"


_UVLOOP = [True] if importlib.util.find_spec("uvloop") else []


@pytest.fixture(params=[False, *_UVLOOP], ids=lambda uvloop: "uvloop" if uvloop else "asyncio")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: the gateway runs on uvloop where it exists, and the demo is in its process."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(TEST_SETTINGS)


@pytest.fixture
async def origin(simulator: Simulator) -> AsyncIterator[str]:
    async with running_simulator(simulator) as address:
        yield address


@pytest.fixture
async def client(origin: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=origin, headers={"authorization": "Bearer k"}, timeout=10) as made:
        yield made


def _body(model: str = "m", *, stream: bool = True, **fields: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream} | fields


def _raw(path: str, body: dict[str, object], *headers: str) -> bytes:
    encoded = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Authorization: Bearer k", f"Content-Length: {len(encoded)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + encoded


async def _exchanged(origin: str, request: bytes) -> bytes:
    """Send a request and return everything up to the end of the connection."""
    host, port = origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(-1), 5)
    finally:
        writer.close()


async def _until(condition: Any, seconds: float = 2.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_both_dialects_stream_and_answer_whole(client: httpx2.AsyncClient) -> None:
    for path in (_ANTHROPIC, _OPENAI):
        stream = await client.post(path, json=_body(max_tokens=99))
        whole = await client.post(path, json=_body(stream=False, max_tokens=99))

        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "(simulated" in stream.text
        assert "(simulated answer)" in json.dumps(whole.json())


async def test_a_credential_is_wanted(client: httpx2.AsyncClient) -> None:
    for path in (_ANTHROPIC, _OPENAI):
        answer = await client.post(path, json=_body(), headers={"authorization": ""})

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "1001"


async def test_only_listed_keys_are_accepted() -> None:
    settings = SimulatorSettings(port=0, keys=(Secret("right"),))
    async with running_simulator(Simulator(settings)) as origin, httpx2.AsyncClient(base_url=origin) as client:
        statuses = [
            (await client.post(path, json=_body(max_tokens=9), headers={name: value})).status_code
            for path, name, value in (
                (_ANTHROPIC, "x-api-key", "right"),
                (_ANTHROPIC, "x-api-key", "wrong"),
                (_ANTHROPIC, "authorization", "Bearer right"),
                (_OPENAI, "authorization", "Bearer right"),
                (_OPENAI, "authorization", "Bearer wrong"),
                (_OPENAI, "authorization", "right"),
                (_OPENAI, "x-api-key", "right"),
            )
        ]

    assert statuses == [200, 401, 200, 200, 401, 401, 401]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", _OPENAI, b"{", 400, "1210"),
        ("POST", _OPENAI, b'{"model":"m","messages":[]}', 400, "1214"),
        ("POST", _OPENAI, b'{"model":"sim:nonsense"}', 400, "1210"),
        ("GET", _OPENAI, b"", 404, "1222"),
    ],
)
async def test_bad_requests_are_refused_like_upstream(
    client: httpx2.AsyncClient, method: str, path: str, content: bytes, status: int, code: str
) -> None:
    answer = await client.request(method, path, content=content)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_an_unknown_path_is_not_found(client: httpx2.AsyncClient) -> None:
    assert (await client.post("/v1/messages", json={})).status_code == 404
    assert (await client.get("/")).json()["service"] == "zcode-simulator"


async def test_requests_are_recorded_as_they_came(client: httpx2.AsyncClient, simulator: Simulator) -> None:
    body = _body("sim:events=1")
    await client.post(_OPENAI + "?beta=true", json=body, headers={"X-Title": "Z Code@cli"})
    shown = (await client.get("/_simulator/requests")).json()["requests"]

    assert len(shown) == len(simulator.records.requests) == 1
    assert shown[0]["path"] == _OPENAI + "?beta=true"
    assert json.loads(shown[0]["body"]) == body
    assert ["X-Title", "Z Code@cli"] in shown[0]["headers"]


async def test_scripts_are_pushed_counted_and_reset(client: httpx2.AsyncClient) -> None:
    async def ask() -> int:
        return (await client.post(_OPENAI, json=_body(stream=False))).status_code

    await client.post("/_simulator/script", json={"script": "error=1302", "times": 2})
    await client.post("/_simulator/script", json={"script": {"error": "500", "delay": 0.01}})
    assert [await ask() for _ in range(4)] == [429, 429, 500, 200]
    await client.post("/_simulator/script", json={"script": "error=1302"})
    assert (await client.get("/_simulator/state")).json()["scripts_waiting"] == 1
    await client.post("/_simulator/reset")
    assert await ask() == 200
    state = (await client.get("/_simulator/state")).json()
    assert (state["requests"], state["completed"], state["open_streams"]) == (1, 1, 0)


@pytest.mark.parametrize("content", [b"{", b'{"script": "x=1"}', b'{"script": {"x": 1}}', b'{"skript": ""}'])
async def test_a_faulty_push_is_refused(client: httpx2.AsyncClient, content: bytes) -> None:
    assert (await client.post("/_simulator/script", content=content)).status_code == 400
    assert (await client.get("/_simulator/script")).status_code == 405


async def test_the_header_chooses_the_script(client: httpx2.AsyncClient) -> None:
    answer = await client.post(_OPENAI, json=_body("sim:events=1"), headers={"x-simulate": "error=1305"})

    assert answer.status_code == 429


async def test_the_scripts_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text('models: {glm-5.1: "error=1311"}')
    simulator = Simulator(SimulatorSettings(port=0, scripts_file=str(path)))
    async with running_simulator(simulator) as origin, httpx2.AsyncClient(base_url=origin) as client:
        answer = await client.post(_OPENAI, json=_body("glm-5.1"), headers={"authorization": "Bearer k"})

    assert answer.json()["error"]["code"] == "1311"


async def test_a_connection_serves_many_requests_and_pipelined_ones_in_order(origin: str) -> None:
    requests = [_raw(_OPENAI, _body(f"sim:text=n{number};pace=1", stream=False)) for number in range(3)]
    requests.append(_raw(_OPENAI, _body("sim:text=n3", stream=False), "Connection: close"))
    answers = await _exchanged(origin, b"".join(requests))

    assert answers.count(b"HTTP/1.1 200 OK") == 4
    places = [answers.index(b"n%d" % number) for number in range(4)]
    assert places == sorted(places)


async def test_no_request_at_all_is_a_400(origin: str) -> None:
    assert (await _exchanged(origin, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_asks_before_it_sends_is_answered(origin: str) -> None:
    request = _raw(_OPENAI, _body("sim:events=1"), "Expect: 100-continue", "Connection: close")

    assert (await _exchanged(origin, request)).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


@pytest.mark.parametrize(
    "when", ["stall=head", "stall=body", "stall=mid-event", "events=1000;pace=20", "cut=10;end=hang"]
)
async def test_a_disconnect_is_noticed_at_once(origin: str, simulator: Simulator, when: str) -> None:
    host, port = origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(_raw(_OPENAI, _body(f"sim:{when}")))
    await _until(lambda: simulator.records.open_streams == 1)
    await asyncio.sleep(0.05)
    gone = time.monotonic()
    writer.close()
    await _until(lambda: simulator.records.open_streams == 0)

    (cancelled,) = simulator.records.cancelled
    assert cancelled.monotonic - gone < 0.1
    assert cancelled.path == _OPENAI
    assert (cancelled.sent == 0) == (when == "stall=head")


async def test_an_answer_read_to_its_end_is_not_cancelled(client: httpx2.AsyncClient, simulator: Simulator) -> None:
    await client.post(_OPENAI, json=_body("sim:events=20;pace=1"))

    assert not simulator.records.cancelled
    assert simulator.records.completed == 1


async def test_a_client_that_does_not_read_holds_the_flood_back(origin: str, simulator: Simulator) -> None:
    host, port = origin.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(_raw(_OPENAI, _body("sim:bomb=line")))
    await _until(lambda: simulator.records.open_streams == 1)
    await asyncio.sleep(0.2)
    writer.transport.abort()
    await _until(lambda: simulator.records.open_streams == 0)

    assert simulator.records.cancelled[0].sent < 32 * 1024 * 1024


async def test_a_reset_reaches_the_client(origin: str) -> None:
    with pytest.raises(ConnectionResetError):
        await _exchanged(origin, _raw(_OPENAI, _body("sim:events=20;cut=300;end=rst")))


async def test_a_cut_in_the_middle_of_an_event(client: httpx2.AsyncClient) -> None:
    async with client.stream("POST", _OPENAI, json=_body("sim:events=20;cut=777")) as answer:
        pieces = answer.aiter_raw()
        received = await anext(pieces)
        with pytest.raises(httpx2.RemoteProtocolError):
            received += b"".join([piece async for piece in pieces])

    assert len(received) <= 777


@pytest.mark.parametrize("script", ["framing=long", "framing=bad-chunk", "framing=bad-status", "end=fin", "cut-raw=9"])
async def test_broken_framing_is_an_error_to_a_real_client(client: httpx2.AsyncClient, script: str) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await client.post(_OPENAI, json=_body(f"sim:events=5;{script}"))


async def test_a_raw_answer_is_sent_as_it_stands(origin: str, simulator: Simulator) -> None:
    simulator.scripts.push(Script(raw=b"anything at all"))

    assert await _exchanged(origin, _raw(_OPENAI, _body())) == b"anything at all"


async def test_informational_answers_come_first(origin: str) -> None:
    request = _raw(_OPENAI, _body("sim:events=1;informational=103+103"), "Connection: close")

    assert (await _exchanged(origin, request)).count(b"HTTP/1.1 103 Early Hints\r\n") == 2


async def test_half_closed_and_still_open(origin: str) -> None:
    host, port = origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_raw(_OPENAI, _body("sim:events=3;end=half")))
    received = await asyncio.wait_for(reader.read(-1), 5)
    writer.close()

    assert received.rstrip().endswith(b"data: [DONE]")


async def test_streams_are_compressed_where_the_client_asks(client: httpx2.AsyncClient) -> None:
    for coding in ("gzip", "br"):
        headers = {"accept-encoding": coding}
        answer = await client.post(_OPENAI, json=_body("sim:events=3;encoding=auto"), headers=headers)

        assert answer.headers["content-encoding"] == coding
        assert answer.text.rstrip().endswith("[DONE]")


async def test_a_bomb_inflates(client: httpx2.AsyncClient) -> None:
    async with client.stream("POST", _OPENAI, json=_body("sim:bomb=gzip;size=64m")) as answer:
        wire = b"".join([piece async for piece in answer.aiter_raw()])

    assert len(wire) < 100_000
    assert len(gzip.decompress(wire)) > 64_000_000


async def test_words_come_at_their_pace(client: httpx2.AsyncClient) -> None:
    start = time.monotonic()
    await client.post(_OPENAI, json=_body("sim:events=10;pace=20"))

    assert 0.2 < time.monotonic() - start < 1.0


async def test_a_repeated_unpaced_request_is_cheap(client: httpx2.AsyncClient) -> None:
    body = json.dumps(_body("sim:events=5000")).encode()
    await client.post(_OPENAI, content=body)
    start = time.monotonic()
    answer = await client.post(_OPENAI, content=body)

    assert answer.text.count("data:") == 5003
    assert time.monotonic() - start < 0.5


def test_the_anthropic_sdk_completes_a_tool_round_trip() -> None:
    tool: Any = {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Berlin?"}]
    with simulator_thread() as origin, anthropic.Anthropic(api_key="k", base_url=f"{origin}/api/anthropic") as sdk:
        with sdk.messages.stream(model="m", max_tokens=500, messages=messages, tools=[tool]) as stream:
            first = stream.get_final_message()
        call: Any = first.content[-1]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        last = sdk.messages.create(model="m", max_tokens=500, messages=messages, tools=[tool])

    assert (first.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Berlin"})
    assert last.stop_reason == "end_turn"
    assert "sunny" in last.to_json()


def test_the_openai_sdk_completes_a_tool_round_trip() -> None:
    schema = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    tool: Any = {"type": "function", "function": {"name": "bash", "parameters": schema}}
    messages: list[Any] = [{"role": "user", "content": "run `ls -l`"}]
    with simulator_thread() as origin, openai.OpenAI(api_key="k", base_url=f"{origin}/api/coding/paas/v4") as sdk:
        with sdk.chat.completions.stream(model="m", messages=messages, tools=[tool]) as stream:
            first = stream.get_final_completion().choices[0]
        assert first.message.tool_calls is not None
        call = first.message.tool_calls[0]
        replayed = {"role": "assistant", "tool_calls": [call.to_dict()]}
        messages += [replayed, {"role": "tool", "tool_call_id": call.id, "content": "a.py"}]
        last = sdk.chat.completions.create(model="m", messages=messages, tools=[tool]).choices[0]

    assert (first.finish_reason, json.loads(call.function.arguments)) == ("tool_calls", {"command": "ls -l"})
    assert last.finish_reason == "stop"
    assert "a.py" in (last.message.content or "")


def test_the_sdk_raises_what_the_script_breaks() -> None:
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    with simulator_thread() as origin:
        options: Any = {"api_key": "k", "base_url": f"{origin}/api/anthropic", "max_retries": 0}
        with anthropic.Anthropic(**options) as sdk:
            with pytest.raises(anthropic.RateLimitError):
                sdk.messages.create(model="sim:error=1302", max_tokens=9, messages=messages)
            with (
                pytest.raises(anthropic.APIStatusError),
                sdk.messages.stream(model="sim:error=529;at=mid", max_tokens=9, messages=messages) as stream,
            ):
                stream.until_done()
