"""
A process that claims captcha tokens, for tests with many of them.

    python -m tests.support.captcha_claimer URL KEYFILE NUMBER CLAIMS SEED

Claims tokens for tries of its own, repeats three commands of ten, now and then with others between. Prints one JSON
line: what each try got, and the least life that a token had when it was asked for.
"""

import asyncio
import random
import sys
import time
from pathlib import Path

import msgspec

from services.captcha.banks.port import Granted, NotYet
from services.captcha.banks.redis import RedisBank
from services.captcha.keys import Keys
from services.chassis.peer.token_file import TokenFile
from services.chassis.redis.address import parse
from tests.support.captcha_claims import ACCOUNT, CAPACITY, TIMES

REPEATED = 0.3
QUEUE = 64
LINE = 4  # tries of this process that stand in line at once


class Claimed(msgspec.Struct):
    """What one process got."""

    tokens: dict[str, list[str]]  # by try: every answer it got while its first token could still be handed out
    least_life: float
    served: int = 0


async def claim(url: str, key_file: str, number: int, claims: int, seed: int) -> Claimed:
    chance = random.Random(seed)
    bank = RedisBank(parse(url), Keys(TokenFile(Path(key_file))), capacity=CAPACITY, queue=QUEUE, times=TIMES)
    claimed = Claimed({}, float("inf"))
    names = [f"{number}-{index}" for index in range(claims)]
    until: dict[str, float] = {}  # by try: when its first token can be handed out no more; then it may get another

    async def ask(name: str, *, wait: bool) -> bool:
        before = time.time()
        found = await bank.claim(ACCOUNT, name, wait=wait)
        if not isinstance(found, Granted):
            assert found is not NotYet.FULL
            return False
        if time.time() < until.setdefault(name, found.expires_at - TIMES.least):
            claimed.tokens.setdefault(name, []).append(found.token.param)
        claimed.least_life = min(claimed.least_life, found.expires_at - before)
        return True

    async def one_try(name: str) -> None:
        while not await ask(name, wait=True):
            await asyncio.sleep(0.02)
        claimed.served += 1
        while chance.random() < REPEATED:
            await asyncio.sleep(chance.choice((0, 0, 0.01)))
            await ask(name, wait=False)

    async def worker() -> None:
        while names:
            await one_try(names.pop())

    async with asyncio.TaskGroup() as group:
        for _ in range(LINE):
            group.create_task(worker())
    await bank.aclose()
    return claimed


if __name__ == "__main__":
    url, key_file, *numbers = sys.argv[1:]
    result = asyncio.run(claim(url, key_file, *map(int, numbers)))
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
