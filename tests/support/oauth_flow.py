"""Drives a login flow by hand: what it asks for is kept, what it is told comes from a list."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from services.chassis.secret import Secret
from services.credentials.oauth.flows import Attempt
from services.credentials.oauth.steps import Answer, Ask, Flow, Reply, Step
from services.credentials.oauth.vendors import VENDORS, Addresses

T = TypeVar("T")

ZAI = VENDORS["zai"]
BIGMODEL = VENDORS["bigmodel"]
ADDRESSES = Addresses(
    authorize_url="https://login.test/authorize",
    token_url="https://tokens.test/token",
    init_url="https://tokens.test/init",
    poll_url="https://tokens.test/poll",
    biz_base="https://biz.test/",
    login_url="https://biz.test/login",
)
ATTEMPT = Attempt(
    redirect_uri="http://127.0.0.1:4711/oauth/callback/zai", state=Secret("the-state"), verifier=Secret("the-verifier")
)


class Driven(list[Step]):
    """The steps of a flow so far, and what it returned."""

    result: object = None

    @property
    def asks(self) -> list[Ask]:
        return [step for step in self if isinstance(step, Ask)]


def drive(flow: Flow[T], replies: Iterable[Reply]) -> Driven:
    """Run a flow to its end; every reply must be used and there must be enough of them."""
    driven = Driven()
    left = list(replies)
    try:
        driven.append(next(flow))
        while left:
            driven.append(flow.send(left.pop(0)))
    except StopIteration as end:
        driven.result = end.value
        assert not left, f"not asked for: {left}"
        return driven
    raise AssertionError(f"still asks for {driven[-1]!r}")


def answer(body: object, status: int = 200, retry_after: float | None = None) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, msgspec.json.encode(body), retry_after)


def zcode(data: object, code: object = 0) -> Answer:
    """Return an answer as zcode.z.ai wraps it."""
    return answer({"code": code, "msg": "", "data": data})


def biz(data: object, code: object = 200) -> Answer:
    """Return an answer as the account endpoints wrap it."""
    return answer({"code": code, "msg": "", "data": data})
