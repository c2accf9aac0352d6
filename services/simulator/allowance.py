"""
What is left of a plan, as the account endpoints tell it (upstream.md 6): one JSON object that tests may change.

`GET` and `POST /_simulator/allowance`. Without a change every request that was answered costs a little of it.
"""

import time
from typing import Final

import msgspec

from services.simulator.connection import Connection, Handler
from services.simulator.control import PREFIX, json_answer
from services.simulator.records import Records, Request

LIMITS_PATH: Final = "/api/monitor/usage/quota/limit"
BALANCE_PATH: Final = "/api/v1/zcode-plan/billing/balance"

_CONTROL: Final = f"{PREFIX}allowance"
_COST: Final = 0.05  # per cent of the five hours, for each request
_FIVE_HOURS: Final = 5 * 3600


class Allowance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is told; percentages are of what is used, null: by the number of requests answered."""

    five_hours: float | None = None
    weekly: float | None = None
    tools: float = 4
    remaining: float = 3_800_000  # tokens of the start plan
    total: float = 5_000_000
    status: int = 200  # of the answer; another one has no body of use
    success: bool = True


class AllowanceArea:
    """Answers the account endpoints. `allowance` may be set by tests in process."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.allowance = Allowance()

    def reset(self) -> None:
        """Go back to how it was."""
        self.allowance = Allowance()

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        return {LIMITS_PATH: self._limits, BALANCE_PATH: self._balance, _CONTROL: self._control}

    async def _limits(self, request: Request, link: Connection) -> bool:
        allowance, known = self.allowance, bool(request.header(b"authorization"))
        status = allowance.status if known else 401
        spent = self._records.completed * _COST
        reset = (int(request.at) // _FIVE_HOURS + 1) * _FIVE_HOURS * 1000
        week = reset + 3 * 86_400_000
        limits = [
            {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": _or(allowance.five_hours, 12 + spent)},
            {"type": "TOKENS_LIMIT", "unit": 6, "number": 1, "percentage": _or(allowance.weekly, 34 + spent / 10)},
            {"type": "TIME_LIMIT", "unit": 5, "number": 1, "percentage": allowance.tools},
        ]
        times = (reset, week, week)
        data = {
            "level": "pro",
            "limits": [entry | {"nextResetTime": at} for entry, at in zip(limits, times, strict=True)],
        }
        body = {"code": 200 if allowance.success else 500, "success": allowance.success, "data": data}
        return await _answer(request, link, status, body)

    async def _balance(self, request: Request, link: Connection) -> bool:
        allowance = self.allowance
        known = (request.header(b"authorization") or b"").startswith(b"Bearer ") and request.header(b"x-device-mid")
        balance = {
            "show_name": "Start plan (simulated)",
            "total_units": allowance.total,
            "used_units": allowance.total - allowance.remaining,
            "remaining_units": allowance.remaining,
            "unit_type": "tokens",
            "expires_at": int(time.time() + 7 * 86400) * 1000,
        }
        body = {"code": 0, "msg": "", "data": {"balances": [balance]}}
        return await _answer(request, link, allowance.status if known else 401, body)

    async def _control(self, request: Request, link: Connection) -> bool:
        if request.method == "POST":
            try:
                given = msgspec.json.decode(request.body, type=dict[str, object])
                self.allowance = msgspec.convert(msgspec.to_builtins(self.allowance) | given, Allowance)
            except msgspec.MsgspecError as error:
                return await _answer(request, link, 400, {"error": str(error)})
        return await _answer(request, link, 200, self.allowance)


def _or(value: float | None, other: float) -> float:
    return min(100.0, other) if value is None else value


async def _answer(request: Request, link: Connection, status: int, body: object) -> bool:
    link.write(json_answer(status, body, keep_alive=request.keep_alive))
    await link.drain()
    return request.keep_alive
