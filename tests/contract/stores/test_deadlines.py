"""No call waits for Redis longer than its deadline, whatever Redis or the network does, and it works again after."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Store, StoreUnavailable
from tests.support.certificates import Authority
from tests.support.fault_proxy import Fault, FaultProxy

LONGEST = 0.5  # seconds; promises.md P-61
ATTEMPTS = 3  # a busy machine is late now and then; a missing deadline is late each time

Operation = Callable[[Store], Awaitable[Any]]
OPERATIONS: dict[str, Operation] = {
    "get": lambda store: store.get("cred", "crd_a"),
    "scan": lambda store: store.scan("cred"),
    "put": lambda store: store.put("cred", "crd_new", b"x", kid=1, expected=0),
    "remove": lambda store: store.remove("cred", "crd_a", expected=1),
    "acquire": lambda store: store.acquire("cred", "crd_a", "me", ttl=1, seen=9),
    "renew": lambda store: store.renew("cred", "crd_a", "me", ttl=1),
    "release": lambda store: store.release("cred", "crd_a", "me"),
    "put_once": lambda store: store.put_once("nonce", "n", b"", ttl=1),
    "take": lambda store: store.take("login", "s"),
    "generation": lambda store: store.generation(),
    "changed": lambda store: store.changed(0, wait=0),
    "now": lambda store: store.now(),
}
FAULTS = [Fault.DELAY, Fault.HANG, Fault.BLACK_HOLE, Fault.RESET, Fault.RESET_ANSWER, Fault.REFUSED]


@pytest.fixture(params=["plain", "tls"])
async def proxy(
    request: pytest.FixtureRequest, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[FaultProxy, str]]:
    where = urlsplit(redis_url)
    host, port = where.hostname or "127.0.0.1", where.port or 6379
    if request.param == "plain":
        async with FaultProxy(port, host=host) as proxy:
            yield proxy, f"redis://127.0.0.1:{proxy.port}?prefix=p61:"
        return
    authority, own = Authority(tmp_path), tmp_path / "server.pem"
    async with FaultProxy(port, _mutual(authority), host=host) as proxy:
        yield proxy, f"rediss://127.0.0.1:{proxy.port}?prefix=p61:&ca={authority.file}&cert={own}&key={own}"


def _mutual(authority: Authority) -> ssl.SSLContext:
    """A server that asks its clients for a certificate of the same authority."""
    context = authority.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    return context


@pytest.fixture
async def store(proxy: tuple[FaultProxy, str]) -> AsyncIterator[Store]:
    store = await open_store(proxy[1], Path())
    yield store
    await store.aclose()


async def measure(work: Awaitable[Any]) -> float:
    """Return the seconds that a call took to fail."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await work
    return time.monotonic() - started


@pytest.mark.promise("P-61")
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_call_takes_longer_than_half_a_second(
    store: Store, proxy: tuple[FaultProxy, str], fault: Fault
) -> None:
    await connected(store)
    await proxy[0].set(fault, delay=2.0)
    late: dict[str, float] = {}
    for _ in range(ATTEMPTS):
        late = await _late(store)
        if not late:
            break
    await proxy[0].set(Fault.NONE)
    await usable(store)

    assert late == {}


async def _late(store: Store) -> dict[str, float]:
    """Return what took too long, of all together on old connections and on new ones, and of each alone."""
    slowest = dict.fromkeys(OPERATIONS, 0.0)
    for _ in ("on old connections", "on new ones"):
        took = await asyncio.gather(*(measure(operation(store)) for operation in OPERATIONS.values()))
        slowest = {name: max(slowest[name], seconds) for name, seconds in zip(OPERATIONS, took, strict=True)}
    for name, operation in OPERATIONS.items():
        slowest[name] = max(slowest[name], await measure(operation(store)))
    return {name: seconds for name, seconds in slowest.items() if seconds > LONGEST}


async def connected(store: Store) -> None:
    """Wait until there is a connection for each operation; making a dozen at once takes a busy machine a while."""
    async with asyncio.timeout(30):
        while True:
            done = await asyncio.gather(*(store.generation() for _ in OPERATIONS), return_exceptions=True)
            if not any(isinstance(each, BaseException) for each in done):
                return


async def usable(store: Store) -> None:
    """Wait until a write works; that must be soon after the fault is over."""
    async with asyncio.timeout(10):
        while True:
            try:
                await store.put_once("nonce", f"n{time.monotonic_ns()}", b"", ttl=1)
            except StoreUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_what_must_not_happen_twice_is_not_sent_twice(store: Store, proxy: tuple[FaultProxy, str]) -> None:
    """One answer is lost, the next would come: a repeated SET NX would say "taken", a repeated GETDEL "nothing"."""
    assert await store.put_once("login", "state", b"pending", ttl=30)
    for call in (
        lambda: store.put_once("nonce", "lost", b"mine", ttl=30),
        lambda: store.take("login", "state"),
        lambda: store.acquire("cred", "crd_once", "me", ttl=30, seen=0),
    ):
        await store.now()  # so that the answer which is lost is that of the call, not a greeting's
        await proxy[0].set(Fault.RESET_ANSWER, times=1)
        with pytest.raises(StoreUnavailable):
            await call()
        assert proxy[0].fault is Fault.NONE

    assert await store.take("nonce", "lost") == b"mine"
    assert await store.take("login", "state") is None
    await store.release("cred", "crd_once", "me")


async def test_what_may_happen_twice_is_sent_again(store: Store, proxy: tuple[FaultProxy, str]) -> None:
    await store.put("cred", "crd_again", b"0", kid=1, expected=0)
    await store.acquire("cred", "crd_again", "me", ttl=30, seen=1)
    for call in (
        lambda: store.get("cred", "crd_again"),
        lambda: store.scan("cred"),
        store.generation,
        lambda: store.renew("cred", "crd_again", "me", ttl=30),
        lambda: store.release("cred", "crd_again", "me"),
    ):
        await store.now()  # so that the answer which is lost is that of the call, not a greeting's
        await proxy[0].set(Fault.RESET_ANSWER, times=1)
        await call()
        assert proxy[0].fault is Fault.NONE

    assert await store.remove("cred", "crd_again", expected=1)


async def test_who_waits_through_a_short_outage_is_not_disturbed(store: Store, proxy: tuple[FaultProxy, str]) -> None:
    before = await store.generation()
    waiting = asyncio.ensure_future(store.changed(before, wait=20))
    await asyncio.sleep(0.2)
    await proxy[0].set(Fault.REFUSED)
    await asyncio.sleep(1.5)
    await proxy[0].set(Fault.NONE)
    await usable(store)
    await store.put("cred", "crd_w", b"0", kid=1, expected=0)
    started = time.monotonic()

    assert await waiting > before
    assert time.monotonic() - started < 1
    assert await store.remove("cred", "crd_w", expected=1)


async def test_a_cancelled_call_leaves_no_answer_behind_for_the_next(
    store: Store, proxy: tuple[FaultProxy, str]
) -> None:
    """CVE-2023-28858: a connection whose answer nobody read gives it to the next command."""
    for n in range(10):
        await store.put("meta", f"value{n}", b"%d" % n, kid=1, expected=0)
    await proxy[0].set(Fault.DELAY, delay=0.03)
    for round_ in range(30):
        calls = [asyncio.ensure_future(store.get("meta", f"value{n}")) for n in range(10)]
        await asyncio.sleep(0.001 * (round_ % 10))
        for call in calls[::2]:
            call.cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for n, answer in enumerate(answers):
            if n % 2 and not isinstance(answer, StoreUnavailable):
                assert answer is not None
                assert answer.value == b"%d" % n  # type: ignore[union-attr]
    await proxy[0].set(Fault.NONE)
    for n in range(10):
        assert await store.remove("meta", f"value{n}", expected=1)
