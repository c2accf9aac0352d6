"""What the tests of the gateway's rooms may ask for."""

from collections.abc import AsyncIterator

import pytest

from services.chassis.process import Tasks


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """What owns the calls of a test; one that fails is asked by the test."""
    async with Tasks(lambda _name, _error: None) as made:
        yield made
