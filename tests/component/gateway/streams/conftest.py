"""What the stream tests share: production's event loop unless a module asks for both, and every pair of dialects."""

from collections.abc import Iterator

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, RESPONSES
from tests.support.event_loops import UVLOOP
from tests.support.simulator_process import simulator_process


@pytest.fixture(scope="module")
def far_simulator() -> Iterator[str]:
    """A simulator in a process of its own: what it holds and does is not taken for the gateway's."""
    with simulator_process() as origin:
        yield origin


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return UVLOOP


@pytest.fixture(params=[OPENAI, ANTHROPIC, RESPONSES], ids=["openai client", "anthropic client", "responses client"])
def client_format(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture(params=[OPENAI, ANTHROPIC], ids=["openai upstream", "anthropic upstream"])
def upstream_format(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found
