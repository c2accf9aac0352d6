import pytest

from services.cli.checks.finding import Status
from services.cli.checks.network import Peer, judge_clock, upstreams
from services.gateway.routing import UpstreamFormat
from services.gateway.settings import GatewaySettings, PlanSettings, ProviderSettings

NOON = 1_700_000_000.0  # 14 Nov 2023 22:13:20 UTC
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
PEER = Peer("https", "api.example", 443)


@pytest.mark.parametrize(
    ("skew", "status", "words"),
    [
        (0, Status.GOOD, "agrees"),
        (-29, Status.GOOD, "agrees"),
        (30, Status.WARN, "30 s ahead of api.example"),
        (-299, Status.WARN, "299 s behind api.example"),
        (300, Status.FAIL, "300 s ahead of"),
    ],
)
def test_the_clock_is_judged_by_its_distance(skew: float, status: Status, words: str) -> None:
    found = judge_clock(PEER, DATE, NOON + skew)

    assert found.status is status
    assert words in found.message


@pytest.mark.parametrize("date", [None, "yesterday", ""])
def test_without_a_date_nothing_is_judged(date: str | None) -> None:
    assert judge_clock(PEER, date, NOON).status is Status.SKIP


def test_only_hosts_of_configured_routes_are_asked_each_once() -> None:
    assert upstreams(GatewaySettings()) == [Peer("https", "api.z.ai", 443)]
    both = ProviderSettings(anthropic_base="http://a.example/x", openai_base="http://o.example:81/y")
    settings = GatewaySettings(
        provider="mine",
        providers={"mine": both},
        coding_plan=PlanSettings(upstream_format=UpstreamFormat.NATIVE),
    )

    assert {str(peer) for peer in upstreams(settings)} == {"a.example:80", "o.example:81"}
    assert str(Peer("http", "::1", 80)) == "[::1]:80"
