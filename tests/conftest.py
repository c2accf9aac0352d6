"""What every test may ask for."""

import pytest
from hypothesis import HealthCheck, settings

from tests.support.golden import Golden

# The same examples in every run, and no verdict on how fast a busy machine is.
settings.register_profile(
    "project",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("project")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the golden files with what the code makes now"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """The golden files, compared or rewritten."""
    return Golden(update=request.config.getoption("--update-golden"))
