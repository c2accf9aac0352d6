"""
Where a gateway's time goes: `python -m bench.profile SUBJECT MEASURE`, for example `gw-aa json_16`.

Prints the heaviest lines by their own time and by function including callees. py-spy does the sampling; it is installed
into `build/` on first use. Sampling slows the gateway down, so only the shares mean something.
"""

import collections
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench import native_build, places
from bench.measures import MORE_ROUNDS, ROUNDS, Bench, Target
from bench.session import mock_upstream
from bench.subjects import gateways

_SECONDS = 5


def _sampler() -> Path:
    program = places.BUILD / "tools" / "bin" / "py-spy"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", places.BUILD / "tools"], check=True)
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", places.BUILD / "tools" / "bin" / "python", "py-spy"],
            check=True,
        )
    return program


def _sample(pid: int, target: Path) -> None:
    time.sleep(1.5)
    command = [_sampler(), "record", "-d", str(_SECONDS), "-r", "250", "-f", "raw", "-o", target]
    subprocess.run([*command, "-p", str(pid)], capture_output=True, check=True)


def _print(raw: Path) -> None:
    own: collections.Counter[str] = collections.Counter()
    whole: collections.Counter[str] = collections.Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame.replace(f"{places.PROJECT}/", "") for frame in stack.split(";")]
        if not count.isdigit() or any("run (threading" in frame or "_watch (" in frame for frame in frames):
            continue  # the watchdog's thread
        own[frames[-1]] += int(count)
        for name in {frame.rpartition(":")[0] for frame in frames}:
            whole[name] += int(count)
    total = sum(own.values())
    for title, counter in (("own time, by line", own), ("with callees, by function", whole)):
        print(f"\n{title}")
        for name, count in counter.most_common(70):
            if count < total * 0.95:
                print(f"{100 * count / total:5.1f} %  {name}")


def main() -> None:
    """Run one measure long enough to be sampled."""
    subject_name, measure_name = sys.argv[1:3]
    programs = native_build.build()
    shutil.rmtree(places.RUN, ignore_errors=True)
    places.RUN.mkdir(parents=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    measure = next(each for each in (*ROUNDS, *MORE_ROUNDS) if each.name == measure_name)
    with mock_upstream(programs["mock"]) as mock:
        every = gateways(mock.port, transports=("pooled", "httpx"), debian=None)
        subject = next(each for each in every if each.name == subject_name)
        with subject.server.start() as process:
            raw = places.BUILD / "profile.raw"
            sampling = threading.Thread(target=_sample, args=(process.pids[0], raw))
            sampling.start()
            print(measure.run(Bench(mock, programs["load"], _SECONDS + 2.0), Target(subject, process)))
            sampling.join()
    _print(raw)


if __name__ == "__main__":
    main()
