"""
Sends a planned answer: when, in which pieces, how framed, and how far.

    informational  1xx heads
    stall=head     before the status line
    head
    stall=body     before the first byte of the body
    frames         paced; stall=first-event after the first, stall=mid-event inside the middle one
    stall=end      before what ends the framing
    end            the framing's end and keep-alive, or one of the ways to break off

`cut` counts bytes of the body and `cut-raw` bytes of the whole answer; both end the connection as `end` says.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final, Protocol

from services.simulator.framing import Framing, head
from services.simulator.plan import Plan
from services.simulator.script import Ending, Phase, Script

_FOREVER: Final = 24 * 3600.0


class Link(Protocol):
    """The connection to the client, as far as an answer needs it."""

    def write(self, data: bytes) -> None:
        """Hand bytes to the network."""

    async def drain(self) -> None:
        """Wait until the network has taken most of what it was handed."""

    def finish(self) -> None:
        """Close once everything is sent."""

    def finish_writing(self) -> None:
        """Close our direction only."""

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""


class _CutOffError(Exception):
    """The answer breaks off here."""


class _Output:
    """Writes in pieces of the script's size and breaks off at its byte."""

    def __init__(self, link: Link, script: Script) -> None:
        self._link = link
        self._split = script.split
        self._left = script.cut_raw

    async def write(self, data: bytes) -> None:
        cut = self._left is not None and len(data) >= self._left
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if self._split:
            await self._write_split(data)
        else:
            self._link.write(data)
        await self._link.drain()
        if cut:
            raise _CutOffError

    async def _write_split(self, data: bytes) -> None:
        for start in range(0, len(data), self._split):
            self._link.write(data[start : start + self._split])
            # The loop runs the client's side, or the kernel delivers to it, before the next piece.
            await asyncio.sleep(0)


async def deliver(link: Link, plan: Plan, script: Script, *, keep_alive: bool) -> bool:
    """Send an answer; return whether the connection can serve another request."""
    try:
        reusable = await _send(_Output(link, script), plan, script, keep_alive=keep_alive)
    except _CutOffError:
        await _end(link, script.end or "fin")
        return False
    if script.end in {None, "proper"} and reusable:
        return keep_alive
    await _end(link, script.end or "fin")
    return False


def at_once(plan: Plan, script: Script, *, keep_alive: bool) -> bytes | None:
    """Return the whole answer where it is one write, None where time or trouble is to come between its bytes."""
    plain = (
        not (script.pace or script.delay or script.split)
        and all(x is None for x in (script.stall, script.cut, script.cut_raw, script.end, script.raw))
        and script.framing == "default"
        and plan.lazy is None
    )
    if not plain:
        return None
    framing = Framing.of(plan, script)
    opening = head(plan, script, framing, keep_alive=keep_alive)
    return b"".join([*opening, *map(framing.data, plan.frames), framing.end()])


async def _send(output: _Output, plan: Plan, script: Script, *, keep_alive: bool) -> bool:
    await asyncio.sleep(script.delay)
    if script.raw is not None:
        await output.write(script.raw)
        return False
    framing = Framing.of(plan, script)
    *informational, opening = head(plan, script, framing, keep_alive=keep_alive)
    for early in informational:
        await output.write(early)
    await _stall(script, "head")
    await output.write(opening)
    await _stall(script, "body")
    async for piece in _pieces(plan, script):
        await output.write(framing.data(piece))
        if script.cut is not None and framing.sent >= script.cut:
            raise _CutOffError
    await _stall(script, "end")
    if script.end in {None, "proper"}:
        await output.write(framing.end())
    return framing.reusable


async def _pieces(plan: Plan, script: Script) -> AsyncIterator[bytes]:
    """Yield the body's frames in time, cut in half where the script stalls inside one, and up to the cut."""
    loop = asyncio.get_running_loop()
    pace = script.pace or 0.0
    start = loop.time()
    left = script.cut
    middle = len(plan.frames) // 2
    for number, frame in enumerate(_bounded(plan)):
        if number and pace:
            # Against the schedule, not against the last frame: lateness does not add up.
            await asyncio.sleep(max(0.0, start + number * pace - loop.time()))
        if number == 1:
            await _stall(script, "first-event")
        kept = frame if left is None else frame[:left]
        if left is not None:
            left -= len(kept)
        if number == middle and script.stall == "mid-event":
            half = len(kept) // 2
            yield kept[:half]
            await _stall(script, "mid-event")
            kept = kept[half:]
        yield kept


def _bounded(plan: Plan) -> Iterator[bytes]:
    return iter(plan.frames) if plan.lazy is None else plan.lazy()


async def _stall(script: Script, phase: Phase) -> None:
    if script.stall == phase:
        await asyncio.sleep(_FOREVER if script.stall_for is None else script.stall_for)


async def _end(link: Link, ending: Ending) -> None:
    match ending:
        case "rst":
            # What was written is on its way before the reset, as far as the peer takes it.
            await asyncio.sleep(0.01)
            link.reset()
        case "half":
            link.finish_writing()
            await asyncio.sleep(_FOREVER)
        case "hang":
            await asyncio.sleep(_FOREVER)
        case "fin" | "proper":
            link.finish()
