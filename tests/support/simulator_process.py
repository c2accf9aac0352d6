"""
The simulator as a process of its own, so that what it holds and does is not counted as the gateway's.

    with simulator_process() as origin: ...

It remembers nothing between requests that a test could trip over, so one may serve many tests.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_MAIN = """
import sys
from services.simulator.process import serve
from services.simulator.settings import SimulatorSettings
sys.exit(serve(SimulatorSettings(port=0, pace_ms=0)))
"""


@contextmanager
def simulator_process() -> Iterator[str]:
    """Run it until the block ends; give its origin."""
    with subprocess.Popen([sys.executable, "-c", _MAIN], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            origin = re.search(r"http://\S+", process.stderr.readline())
            assert origin, "the simulator did not start"
            yield origin[0]
        finally:
            process.terminate()
