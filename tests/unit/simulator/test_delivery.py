"""When, in which pieces and how far an answer is sent; over a link in memory."""

import asyncio

import pytest

from services.simulator.delivery import at_once, deliver
from services.simulator.plan import Plan
from services.simulator.script import Script, parse

_FRAMES = (b"data: one\n\n", b"data: two\n\n", b"data: three\n\n", b"data: four\n\n")
_PLAN = Plan(status=200, headers=(), frames=_FRAMES, streamed=True)
_BODY = b"".join(_FRAMES)


class MemoryLink:
    """Keeps what is written, with times, and how it ended."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.times: list[float] = []
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        self.times.append(asyncio.get_running_loop().time())

    async def drain(self) -> None:
        pass

    def finish(self) -> None:
        self.ended = "finish"

    def finish_writing(self) -> None:
        self.ended = "finish_writing"

    def reset(self) -> None:
        self.ended = "reset"

    @property
    def body(self) -> bytes:
        return b"".join(self.writes).partition(b"\r\n\r\n")[2]


async def _delivered(script: Script | str, plan: Plan = _PLAN) -> tuple[MemoryLink, bool]:
    link = MemoryLink()
    wanted = parse(script) if isinstance(script, str) else script
    return link, await deliver(link, plan, wanted, keep_alive=True)


async def _stalled(script: str) -> MemoryLink:
    link = MemoryLink()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(deliver(link, _PLAN, parse(script), keep_alive=True), 0.05)
    return link


async def test_a_plain_answer_is_the_same_at_once_and_step_by_step() -> None:
    link, reusable = await _delivered("")

    assert reusable
    assert b"".join(link.writes) == at_once(_PLAN, Script(), keep_alive=True)


@pytest.mark.parametrize(
    "script", ["pace=1", "delay=1", "split=1", "stall=end", "cut=1", "cut-raw=1", "end=rst", "framing=close"]
)
def test_what_takes_time_or_goes_wrong_is_not_sent_at_once(script: str) -> None:
    assert at_once(_PLAN, parse(script), keep_alive=True) is None


async def test_the_body_is_cut_at_every_byte() -> None:
    for cut in range(len(_BODY)):
        link, reusable = await _delivered(f"cut={cut};framing=close")

        assert link.body == _BODY[:cut]
        assert (reusable, link.ended) == (False, "finish")


async def test_the_whole_answer_is_cut_at_every_byte() -> None:
    whole = at_once(_PLAN, Script(), keep_alive=True)
    assert whole is not None
    for cut in range(len(whole)):
        link, reusable = await _delivered(f"cut-raw={cut}")

        assert b"".join(link.writes) == whole[:cut]
        assert (reusable, link.ended) == (False, "finish")


async def test_a_cut_beyond_the_end_changes_nothing() -> None:
    link, reusable = await _delivered(f"cut={len(_BODY) + 1}")

    assert reusable
    assert link.body.endswith(b"0\r\n\r\n")


async def test_every_split_writes_the_same_bytes() -> None:
    whole = at_once(_PLAN, Script(), keep_alive=True)
    for size in (1, 2, 7, 1000):
        link, _ = await _delivered(f"split={size}")

        assert b"".join(link.writes) == whole
        assert max(map(len, link.writes)) <= size or size == 1000


async def test_events_are_paced_against_the_schedule() -> None:
    link, _ = await _delivered("pace=20")
    data = [time for time, write in zip(link.times, link.writes, strict=True) if b"data:" in write]

    assert len(data) == 4
    assert 0.055 < data[-1] - data[0] < 0.2


async def test_a_delay_comes_before_the_head() -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    link, _ = await _delivered("delay=30")

    assert link.times[0] - start >= 0.029


@pytest.mark.parametrize(
    ("phase", "sent"),
    [
        ("head", None),
        ("body", b""),
        ("first-event", _FRAMES[0]),
        ("mid-event", _FRAMES[0] + _FRAMES[1] + _FRAMES[2][: len(_FRAMES[2]) // 2]),
        ("end", _BODY),
    ],
)
async def test_a_stall_comes_at_its_phase_and_lasts(phase: str, sent: bytes | None) -> None:
    link = await _stalled(f"stall={phase};framing=close")

    assert (link.writes == []) == (sent is None)
    assert link.body == (sent or b"")
    assert link.ended == ""


async def test_a_stall_may_end() -> None:
    link, reusable = await _delivered("stall=mid-event;stall-for=5;framing=length")

    assert reusable
    assert link.body == _BODY


async def test_an_end_without_the_framings_end() -> None:
    link, reusable = await _delivered("end=fin")

    assert not link.body.endswith(b"0\r\n\r\n")
    assert (reusable, link.ended) == (False, "finish")


async def test_a_reset_comes_at_the_cut() -> None:
    link, _ = await _delivered("cut=5;end=rst;framing=close")

    assert (link.body, link.ended) == (_BODY[:5], "reset")


async def test_a_hanging_end_leaves_the_connection_open() -> None:
    link = await _stalled("cut=5;end=hang;framing=close")

    assert (link.body, link.ended) == (_BODY[:5], "")


async def test_a_half_closed_end_closes_one_direction() -> None:
    assert (await _stalled("end=half")).ended == "finish_writing"


async def test_raw_bytes_are_all_that_is_sent() -> None:
    link, reusable = await _delivered(Script(raw=b"HTTP/1.1 200\r\nbroken"))

    assert link.writes == [b"HTTP/1.1 200\r\nbroken"]
    assert (reusable, link.ended) == (False, "finish")


async def test_a_wrong_length_ends_the_connection() -> None:
    link, reusable = await _delivered("framing=long")

    assert (reusable, link.ended) == (False, "finish")


async def test_a_body_made_on_the_way_is_sent_chunked() -> None:
    plan = Plan(status=200, headers=(), streamed=True, lazy=lambda: iter([b"ab", b"c"]))
    link, reusable = await _delivered("framing=length", plan)

    assert reusable
    assert link.body == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
