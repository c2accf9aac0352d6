"""What an answer says of the time that was spent here: nothing of what the upstream took, before its head or after it."""

import httpx2
import pytest

from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.script import Script
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, small
from tests.support.gateway import running_gateway
from tests.support.simulated import TEST_SETTINGS

SLOW = 0.6  # seconds
QUICK = 300.0  # milliseconds; a busy machine's, the usual is 1


async def overhead(dialect: WireFormat, upstream: str, script: Script, *, stream: bool, hold: float = 10.0) -> float:
    simulator = Simulator(TEST_SETTINGS)
    simulator.scripts.push(script)
    async with (
        running_gateway(simulator=simulator, upstream_format=upstream, limits={"hold_headers": hold}) as gateway,
        client_of(gateway) as client,
        client.stream("POST", PATH[dialect], json=small(dialect, stream=stream)) as answer,
    ):
        await answer.aread()
        assert httpx2.codes.OK == answer.status_code
        return float(answer.headers["x-zcode-overhead-ms"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_waiting_for_what_follows_the_upstreams_head_is_not_our_time(
    dialect: WireFormat, upstream: str, *, stream: bool
) -> None:
    script = Script(stall="body", stall_for=SLOW)

    assert QUICK > await overhead(dialect, upstream, script, stream=stream)


async def test_holding_the_head_of_a_stream_back_is_not_our_time_either() -> None:
    script = Script(stall="body", stall_for=3 * SLOW)

    assert QUICK > await overhead(ANTHROPIC, "anthropic", script, stream=True, hold=SLOW)
