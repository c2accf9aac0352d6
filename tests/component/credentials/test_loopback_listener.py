"""The listener that the browser comes back to: P-52 and P-53."""

import asyncio
import ipaddress
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from services.chassis.secret import Secret
from services.credentials.login import LoggedIn, Way
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.loopback_listener import LoopbackListener
from services.credentials.oauth.steps import Expected
from services.simulator.app import Simulator
from tests.support.logins import OPTIONS, Person, caller, login, visit
from tests.support.promises import show
from tests.support.simulated import TEST_SETTINGS, running_simulator

PATH = "/oauth/callback/zai"


async def asked(port: int, data: bytes, *, host: str = "127.0.0.1") -> bytes:
    """Send bytes and return everything that comes back."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionResetError:  # refused without its body being read
        return b""
    finally:
        writer.close()


def get(target: str, host: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"host: {host}", *lines, "", ""]).encode("utf-8")


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@asynccontextmanager
async def listening(seconds: float = 10.0) -> AsyncIterator[tuple[LoopbackListener, int]]:
    async with asyncio.timeout(seconds), LoopbackListener(PATH) as listener:
        listener.expect(Expected(address=listener.address, state=Secret("right"), issuer="https://login.test"))
        yield listener, urlsplit(listener.address).port or 0


def fuzzed(chance: random.Random, port: int, state: str) -> bytes:
    """Make a callback that is wrong in at least one way."""
    host = f"127.0.0.1:{port}"
    code = f"{chance.choice(('code', 'authCode'))}={chance.randrange(10**9)}"
    wrong = "".join(chance.choice("0123456789abcdef") for _ in range(64))
    redirect = quote(
        chance.choice(("https://evil.test", "//evil.test", "/\\evil.test", "/\tevil.test", "javascript:1"))
    )
    bad_state = chance.choice(
        (wrong, "", state[:-1], state + "0", state.upper() if state.upper() != state else wrong, "%00", quote("\u00e4"))
    )
    name = chance.choice(("redirect", "redirect_uri", "next", "url", "return_to"))
    return chance.choice(
        (
            get(f"{PATH}?{code}&state={bad_state}", host),
            get(f"{PATH}?{code}", host),
            get(f"{PATH}?state={state}", host),
            get(f"{PATH}?{code}&state={state}&state={bad_state}", host),
            get(f"{PATH}?code=1&authCode=2&state={state}", host),
            get(f"{PATH}?{code}&state={bad_state}&{name}={redirect}", host),
            get(f"{PATH}?state={state}&error=access_denied&{name}={redirect}", host),
            get(f"/oauth/callback/bigmodel?{code}&state={state}", host),
            get(
                f"{chance.choice(('/', '/favicon.ico', '//evil.test', PATH + '/', PATH.upper()))}?{code}&state={state}",
                host,
            ),
            get(
                f"{PATH}?{code}&state={state}", host, method=chance.choice(("POST", "HEAD", "PUT", "OPTIONS", "DELETE"))
            ),
            get(f"{PATH}?{code}&state={state}", chance.choice(("localhost", f"evil.test:{port}", "127.0.0.1", ""))),
            get(f"{PATH}?{code}&state={state}", host, "sec-fetch-mode: no-cors"),
            get(f"{PATH}?{code}&state={state}", host, "sec-fetch-mode: navigate", "sec-fetch-dest: iframe"),
            get(f"{PATH}?{code}&state={state}&iss={redirect}", host),
            get(f"{PATH}?{code}&state={state}", host, "x: " + "y" * 20_000),
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\r\n\r\n",
            f"GET {PATH}?{code}&state={state}\r\n\r\n".encode(),
        )
    )


@pytest.fixture
async def calls() -> AsyncIterator[Caller]:
    made = caller()
    yield made
    await made.aclose()


async def one_login(origin: str, calls: Caller, chance: random.Random, wrong: int) -> tuple[LoggedIn, list[bytes]]:
    """Log in while wrong callbacks come; return also what they, and the right one a second time, were answered."""
    person = Person()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        work = group.create_task(login(origin, person, calls).run(Way.LOOPBACK))
        end = await visit(await person.invited)
        parts = urlsplit(end)
        port, state = parts.port or 0, end.rpartition("state=")[2]
        answers = [await asked(port, fuzzed(chance, port, state)) for _ in range(wrong)]
        assert not work.done()
        right = get(f"{parts.path}?{parts.query}", parts.netloc)
        first, *again = await asyncio.gather(*(asked(port, right) for _ in range(3)), return_exceptions=True)
        got = [answer for answer in (first, *again) if isinstance(answer, bytes) and answer]
        assert min(map(status_of, got)) == 200
        answers += [answer for answer in got if status_of(answer) != 200]
        assert len([answer for answer in got if status_of(answer) == 200]) == 1
    return work.result(), answers


@pytest.mark.promise("P-52")
@pytest.mark.parametrize("logins", [10, pytest.param(100, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
async def test_p52_wrong_callbacks_are_4xx_and_the_right_one_still_works(calls: Caller, logins: int) -> None:
    simulator = Simulator(TEST_SETTINGS)
    chance = random.Random(52)
    async with running_simulator(simulator) as origin:
        for _ in range(logins):
            got, answers = await one_login(origin, calls, chance, wrong=10)
            assert got.secrets.api_key
            assert {status_of(answer) // 100 for answer in answers if answer} == {4}
            assert not [answer for answer in answers if b"location:" in answer.lower()]
            assert not [answer for answer in answers if b"evil" in answer]

    show("P-52", 10 * logins, 0, logins=logins)
    assert simulator.accounts.counts["exchanged"] == logins
    assert simulator.accounts.counts["token"] == logins


@pytest.mark.promise("P-53")
async def test_p53_any_other_host_is_403() -> None:
    async with listening() as (_, port):
        hosts = [
            *(
                "localhost",
                f"localhost:{port}",
                "127.0.0.1",
                f"127.0.0.1:{port + 1}",
                f"127.0.0.1:0{port}",
                f"127.1:{port}",
            ),
            *(f"[::1]:{port}", f"0.0.0.0:{port}", f"2130706433:{port}", f"0x7f.0.0.1:{port}", f"127.0.0.2:{port}"),
            *(
                f"{name}:{port}"
                for name in ("evil.test", "127.0.0.1.evil.test", "127.0.0.1.nip.io", "LOCALHOST", "a", "*")
            ),
            *(f"user@127.0.0.1:{port}", f"127.0.0.1:{port}@evil.test", f"127.0.0.1:{port}.", f"127.0.0.1.:{port}"),
            *(
                f"127.0.0.1:{port},evil.test",
                f"127.0.0.1:{port} evil.test",
                f"127.0.0.1:{port}/",
                f"127.0.0.1:{port}#",
                "",
            ),
            *(f"rebind{number}.test:{port}" for number in range(14)),
        ]
        assert len(hosts) >= 40
        answers = {host: await asked(port, get(f"{PATH}?code=1&state=right", host)) for host in hosts}
        both = await asked(port, get(f"{PATH}?code=1&state=right", hosts[0], f"host: 127.0.0.1:{port}"))

    assert dict.fromkeys(hosts, 403) == {host: status_of(answer) for host, answer in answers.items()}
    assert status_of(both) == 403


@pytest.mark.promise("P-53")
async def test_p53_it_is_bound_to_127_0_0_1_and_nothing_else() -> None:
    async with listening() as (_, port):
        bound = _listening_addresses(port)
        for other in ("127.0.0.2", "::1"):
            with pytest.raises(OSError, match=r"."):
                await asked(port, b"", host=other)

    assert bound == {ipaddress.ip_address("127.0.0.1")}


@pytest.mark.promise("P-53")
async def test_p53_it_is_gone_within_a_second_of_success_and_open_connections_with_it(calls: Caller) -> None:
    async with running_simulator(Simulator(TEST_SETTINGS)) as origin:
        person = Person()
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            _ = group.create_task(login(origin, person, calls).run(Way.LOOPBACK))
            end = await visit(await person.invited)
            port = urlsplit(end).port or 0
            idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", port)
            await visit(end)
            came = time.monotonic()
            with pytest.raises(OSError, match=r"."):
                await asked(port, b"")
            assert await idle_reader.read() == b""
            assert time.monotonic() - came < 1.0
            idle_writer.close()


@pytest.mark.promise("P-53")
async def test_p53_it_is_gone_when_nobody_comes_in_time(calls: Caller) -> None:
    """Five minutes, as the flow says to the person; here the flow is ended early and the listener goes with it."""
    async with running_simulator(Simulator(TEST_SETTINGS)) as origin:
        person = Person()
        work = asyncio.ensure_future(login(origin, person, calls).run(Way.LOOPBACK))
        port = urlsplit(await visit(await person.invited)).port or 0
        _ = work.cancel()
        await asyncio.wait([work], timeout=1)

    assert person.ways == [(Way.LOOPBACK, 300.0)]
    with pytest.raises(OSError, match=r"."):
        await asked(port, b"")


async def test_a_fixed_port_is_used_as_given(calls: Caller) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with running_simulator(Simulator(TEST_SETTINGS)) as origin:
        person = Person()
        options = msgspec.structs.replace(OPTIONS, callback_port=port)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            work = group.create_task(login(origin, person, calls, options=options).run(Way.LOOPBACK))
            end = await visit(await person.invited)
            assert end.startswith(f"http://127.0.0.1:{port}{PATH}?")
            await visit(end)

    assert work.result().secrets.api_key


async def test_until_it_is_told_what_to_expect_everything_is_refused() -> None:
    async with asyncio.timeout(10), LoopbackListener(PATH) as listener:
        parts = urlsplit(listener.address)
        answer = await asked(parts.port or 0, get(f"{PATH}?code=1&state=", parts.netloc))

    assert status_of(answer) == 404


async def test_a_slow_or_endless_request_is_cut_off_and_does_not_hold_others_up() -> None:
    async with listening() as (listener, port):
        slow = await asyncio.open_connection("127.0.0.1", port)
        slow[1].write(b"GET / HTTP/1.1\r\n")
        endless = await asked(port, b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000)
        answer = await asked(port, get(f"{PATH}?code=c0de&state=right", f"127.0.0.1:{port}"))
        assert await listener.code() == "c0de"
        slow[1].close()

    assert endless == b"" or status_of(endless) == 400
    assert status_of(answer) == 200


async def test_a_crowd_is_turned_away() -> None:
    async with listening() as (_, port):
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        answers = [reader for reader, _ in crowd[32:]]
        assert [status_of(await reader.read()) for reader in answers] == [429] * 8
        for _, writer in crowd:
            writer.close()


async def test_every_answer_carries_the_headers_of_a_page_that_can_do_nothing() -> None:
    async with listening() as (_, port):
        for target in ("/", f"{PATH}?code=1&state=right"):
            head = (await asked(port, get(target, f"127.0.0.1:{port}"))).partition(b"\r\n\r\n")[0].decode().lower()
            assert "content-security-policy: default-src 'none'" in head
            for line in (
                "cache-control: no-store",
                "referrer-policy: no-referrer",
                "x-content-type-options: nosniff",
                "x-frame-options: deny",
                "content-type: text/plain; charset=utf-8",
                "connection: close",
            ):
                assert line in head
            assert "access-control" not in head
            assert "location" not in head


def _listening_addresses(port: int) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Ask the kernel on which addresses a port is listened to (/proc/net/tcp: hex, in the machine's byte order)."""
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if fields[3] == "0A" and int(number, 16) == port:
                words = [bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8)]
                found.add(ipaddress.ip_address(b"".join(words)))
    return found
