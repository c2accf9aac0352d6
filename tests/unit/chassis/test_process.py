"""Background tasks, limits at the operating system, and the watchdog."""

import asyncio
import gc
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from services.chassis.process import Tasks, Watchdog, run

ROOT = Path(__file__).parents[3]


async def test_tasks_are_held_until_they_end() -> None:
    tasks = Tasks()
    done = asyncio.Event()
    task = tasks.start(done.wait(), name="wait")
    gc.collect()
    await asyncio.sleep(0)
    held = len(tasks)
    done.set()

    assert await task is True
    assert held == 1
    assert task.get_name() == "wait"
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_tasks_end_with_their_owner_after_cleaning_up() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            cleaned.append("up")

    async with Tasks() as tasks:
        tasks.start(work(), name="a")
        tasks.start(work(), name="b")
        await asyncio.sleep(0)

    assert cleaned == ["up", "up"]


async def test_a_task_that_will_not_end_is_not_waited_for_for_ever() -> None:
    released = asyncio.Event()

    async def stubborn() -> None:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue

    tasks = Tasks()
    task = tasks.start(stubborn(), name="stubborn")
    await asyncio.sleep(0)

    assert not await tasks.aclose(seconds=0.05)
    released.set()
    await task
    assert await tasks.aclose()


async def test_a_failure_is_reported_once_and_leaves_the_others_alone() -> None:
    failures: list[tuple[str, str]] = []

    async def broken() -> None:
        raise ValueError("broken")

    async with Tasks(lambda name, failure: failures.append((name, str(failure)))) as tasks:
        healthy = tasks.start(asyncio.sleep(0.01, "fine"), name="healthy")
        tasks.start(broken(), name="broken")

        assert await healthy == "fine"
    assert failures == [("broken", "broken")]


async def test_a_failure_nobody_asked_about_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("broken")

    async with Tasks() as tasks:
        tasks.start(broken(), name="background")
        await asyncio.sleep(0.01)

    assert "background" in caplog.text


def test_run_returns_what_main_returns_on_the_fast_loop() -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    assert run(main()).startswith("uvloop")


def _in_a_process(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )


def test_a_hardened_process_leaves_no_core_and_has_room_for_connections() -> None:
    program = """
import resource
from services.chassis.process import harden
resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
report = harden(open_files=512)
print(report.core_dumps_off, resource.getrlimit(resource.RLIMIT_CORE), report.open_files)
print(report.undumpable)
"""
    lines = _in_a_process(program).stdout.splitlines()

    assert lines[0] == "True (0, 0) 512"
    assert lines[1] == str(sys.platform == "linux")


def test_more_open_files_than_allowed_are_not_insisted_on() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    program = """
import resource
from services.chassis.process import harden
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 300))
print(harden(open_files=512).open_files, harden(open_files=64).open_files)
"""
    assert hard == resource.RLIM_INFINITY or hard >= 300
    assert _in_a_process(program).stdout.split() == ["300", "300"]


def test_frozen_garbage_is_no_longer_looked_at() -> None:
    program = """
import gc
from services.chassis.process import freeze_garbage
freeze_garbage()
print(gc.get_freeze_count() > 1000, gc.get_threshold())
"""
    assert _in_a_process(program).stdout.strip() == "True (10000, 50, 100)"


async def test_the_watchdog_reports_each_turn_and_how_late_it_was() -> None:
    ticks: list[float] = []
    lags: list[float] = []
    watchdog = Watchdog(interval=0.02, on_tick=ticks.append, on_lag=lags.append)
    watchdog.start()
    await asyncio.sleep(0.1)
    time.sleep(0.15)  # noqa: ASYNC251 -- a task that blocks is what this is about
    await asyncio.sleep(0.05)
    watchdog.stop()

    assert len(ticks) >= 4
    assert ticks == sorted(ticks)
    assert 0.1 < max(lags) < 1.0


async def test_the_watchdog_notices_a_loop_that_does_not_turn() -> None:
    stuck = threading.Event()
    watchdog = Watchdog(interval=0.01, limit=0.1, on_stuck=lambda seconds: stuck.set())
    watchdog.start()
    await asyncio.sleep(0.3)
    early = stuck.is_set()
    time.sleep(0.4)  # noqa: ASYNC251 -- as above
    watchdog.stop()

    assert not early
    assert stuck.is_set()


def test_a_stuck_process_ends_itself_and_says_where_it_was() -> None:
    program = """
import asyncio
from services.chassis.process import Watchdog
async def spinning():
    Watchdog(interval=0.05, limit=0.3).start()
    await asyncio.sleep(0.1)
    while True:
        pass
asyncio.run(spinning())
"""
    ended = _in_a_process(program)

    assert ended.returncode == 70
    assert "has not turned" in ended.stderr
    assert "in spinning" in ended.stderr


def test_a_process_that_was_stopped_for_a_while_is_not_ended_for_it() -> None:
    program = """
import asyncio, os, signal, subprocess, sys
from services.chassis.process import Watchdog
async def main():
    watchdog = Watchdog(interval=0.05, limit=0.3)
    watchdog.start()
    code = f"import os,signal,time; os.kill({os.getpid()}, signal.SIGSTOP); time.sleep(1); os.kill({os.getpid()}, signal.SIGCONT)"
    child = subprocess.Popen([sys.executable, "-c", code])
    await asyncio.sleep(1.5)
    child.wait()
    watchdog.stop()
    print("alive")
asyncio.run(main())
"""
    ended = _in_a_process(program)

    assert (ended.returncode, ended.stdout.strip()) == (0, "alive")
