"""What the stream tests share: production's event loop unless a module asks for both, and the four pairs of dialects."""

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.event_loops import UVLOOP


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return UVLOOP


@pytest.fixture(params=[OPENAI, ANTHROPIC], ids=["openai client", "anthropic client"])
def client_format(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found


@pytest.fixture(params=[OPENAI, ANTHROPIC], ids=["openai upstream", "anthropic upstream"])
def upstream_format(request: pytest.FixtureRequest) -> WireFormat:
    found: WireFormat = request.param
    return found
