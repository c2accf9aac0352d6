"""What the start plan's gateway refuses for good: said in the client's dialect, with what to do, and never tried again."""

from pathlib import Path
from typing import Any

import pytest

from services.chassis.secret import Secret
from services.gateway.routing import Plan
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, error_in, small
from tests.support.gateway import running_gateway
from tests.support.start_plan import running_start_plan

_CASES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "system blocks missing": ({"system_text": "wanted"}, 405, "system_blocks_missing", "startPlan.systemBlocks"),
    "unusual activity": ({"watched": True}, 403, "account_under_risk_control", "risk control"),
    "jwt refused": ({"jwts": ("another",)}, 401, "start_plan_jwt_invalid", "zcode-proxy auth login"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("case", _CASES)
async def test_it_is_said_once_in_the_clients_dialect(
    tmp_path: Path, case: str, client: WireFormat, upstream: str, *, stream: bool
) -> None:
    behaviour, status, code, words = _CASES[case]
    async with (
        running_start_plan(tmp_path, upstream_format=upstream, **behaviour) as plan,
        client_of(plan.gateway) as http,
    ):
        answer = await http.post(PATH[client], json=small(client, stream=stream))

    shown = error_in(client, answer)
    assert (status, str(status)) == (answer.status_code, answer.headers["x-zcode-upstream-status"])
    assert words in shown.message
    assert (None if client is ANTHROPIC else code) == shown.code
    assert 1 == len(plan.upstream)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
async def test_a_static_jwt_needs_no_other_service(client: WireFormat, tmp_path: Path) -> None:
    async with running_start_plan(tmp_path) as plan:
        start_plan = {"base": plan.gateway.settings.start_plan.base, "jwt": Secret("own.jwt.x")}
        async with (
            running_gateway("http://127.0.0.1:9", plan=Plan.START, start_plan=start_plan) as alone,
            client_of(alone) as http,
        ):
            answer = await http.post(PATH[client], json=small(client))
            plan.simulator.start_plan.change({"challenge": True})
            refused = await http.post(PATH[client], json=small(client))

    assert 200 == answer.status_code, answer.text
    assert b"Bearer own.jwt.x" == plan.upstream[0].header(b"authorization")
    shown = error_in(client, refused)
    assert 403 == refused.status_code
    assert "captcha.address" in shown.message
    assert (None if client is ANTHROPIC else "captcha_required") == shown.code
