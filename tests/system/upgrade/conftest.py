"""The releases that are run beside each other, by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.pods import House
from tests.support.redis_server import Server
from tests.support.releases import RELEASED, ROOT, tomorrow, unpacked
from tests.support.simulator_process import simulator_process

PRESENT = "present"
TOMORROW = "tomorrow"
# Each stands beside the present one: every release that is kept, and one that knows of more.
OTHERS = [path.stem.split("-")[1] for path in RELEASED] + [TOMORROW]
# Writer and reader, caller and called; the way back is for `make soak`.
PAIRS = [
    *(pytest.param(other, PRESENT, id=f"{other}-{PRESENT}") for other in OTHERS),
    *(pytest.param(PRESENT, other, id=f"{PRESENT}-{other}", marks=pytest.mark.soak) for other in OTHERS),
]


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each release's services can be imported from."""
    directory = tmp_path_factory.mktemp("releases")
    kept = {path.stem.split("-")[1]: unpacked(path, directory) for path in RELEASED}
    return kept | {PRESENT: ROOT, TOMORROW: tomorrow(directory)}


@contextmanager
def house_in(directory: Path, code: Path, **provider: object) -> Iterator[House]:
    """An installation that `code` has claimed and logged in to, with one pod."""
    with Server(directory / "redis") as redis, simulator_process() as origin:
        house = House(directory, redis.url, origin)
        house.provider(refresh=True, **provider)
        pod = house.pod("a", code=code)
        pod.command("init")
        pod.command("auth", "login", "zai", "--no-browser")
        try:
            yield house
        finally:
            house.close()
