"""A coroutine goes on from where it stands, whoever drives it."""

import asyncio

from services.gateway.stepping import Watch, step


async def test_a_coroutine_that_does_not_wait_ends_in_its_first_step() -> None:
    seen: list[str] = []

    async def quick() -> None:
        seen.append("ran")

    assert step(quick()) is None
    assert ["ran"] == seen


async def test_a_coroutine_that_waits_is_gone_on_with() -> None:
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        await asyncio.sleep(0)
        return "done"

    suspended = step(slow())
    assert suspended is not None
    asyncio.get_running_loop().call_soon(gate.set)

    assert "done" == await suspended


async def test_an_exception_of_what_it_waits_for_reaches_the_coroutine() -> None:
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def waits() -> str:
        try:
            await broken
        except ValueError:
            return "caught"
        return "not reached"

    suspended = step(waits())
    assert suspended is not None
    broken.set_exception(ValueError())

    assert "caught" == await suspended


async def test_cancelling_the_task_that_goes_on_cancels_the_coroutine() -> None:
    cancelled: list[bool] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    suspended = step(waits())
    assert suspended is not None

    async def finish() -> None:
        await suspended

    async with asyncio.TaskGroup() as group:
        task = group.create_task(finish())
        await asyncio.sleep(0)
        task.cancel()

    assert [True] == cancelled


async def test_a_watch_hears_the_result_without_a_task() -> None:
    gate, heard = asyncio.Event(), list[str]()

    async def speak() -> str:
        await gate.wait()
        await gate.wait()
        return "hello"

    before = len(asyncio.all_tasks())
    Watch(speak(), heard.append)
    assert before == len(asyncio.all_tasks())
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert ["hello"] == heard


async def test_a_watch_hears_at_once_what_does_not_wait() -> None:
    heard: list[int] = []

    async def speak() -> int:
        return 1

    Watch(speak(), heard.append)

    assert [1] == heard


async def test_a_cancelled_watch_hears_nothing_and_leaves_nothing() -> None:
    gate, heard = asyncio.Event(), list[None]()

    async def speak() -> None:
        await gate.wait()

    watch = Watch(speak(), heard.append)
    watch.cancel()
    watch.cancel()
    gate.set()
    await asyncio.sleep(0)

    assert [] == heard


async def test_a_watch_that_is_cancelled_when_its_result_is_on_its_way_stays_silent() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    heard: list[str] = []

    async def waits() -> str:
        return await ready

    watch = Watch(waits(), heard.append)
    assert watch.waiting
    ready.set_result("too late")
    watch.cancel()
    await asyncio.sleep(0)

    assert not watch.waiting
    assert heard == []
