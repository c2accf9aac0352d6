from typing import Any

import msgspec
import pytest

from services.captcha.settings import CaptchaSettings
from services.chassis.secret import Secret
from services.gateway import settings_rules as rules
from services.gateway.providers import DialectRule, OAuthAddresses
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.settings import (
    AuthSettings,
    GatewaySettings,
    PlanSettings,
    ProviderSettings,
    ServerSettings,
    StartPlanSettings,
    StoreSettings,
    TelemetrySettings,
    UpstreamSettings,
    known_providers,
)
from services.gateway.wire.formats import WireFormat

VENDOR = ProviderSettings(anthropic_base="https://a.example/x", openai_base="http://o.example:81/y/")


def faults(**changes: Any) -> list[tuple[str, str]]:
    return list(rules.complaints(GatewaySettings(**changes)))


def with_vendor(**changes: Any) -> dict[str, ProviderSettings]:
    return known_providers() | {"mine": msgspec.structs.replace(VENDOR, **changes)}


def test_the_defaults_have_no_faults() -> None:
    assert faults() == []


def test_an_unknown_provider_is_told_the_known_ones() -> None:
    assert faults(provider="bigmodl") == [("provider", "is none of bigmodel, zai; did you mean bigmodel?")]
    assert faults(provider="openai") == [("provider", "is none of bigmodel, zai")]


def test_a_provider_of_the_configuration_may_be_chosen() -> None:
    assert faults(provider="mine", providers=with_vendor()) == []


@pytest.mark.parametrize(
    "base",
    ["api.z.ai/api", "ftp://a.example", "https://", "https://a.example:99999", "https://a b", "https://ä.example"],
)
def test_a_base_must_be_an_absolute_address(base: str) -> None:
    assert faults(providers=with_vendor(anthropic_base=base)) == [
        ("providers.mine.anthropicBase", "must be an absolute address that begins with https:// or http://")
    ]


@pytest.mark.parametrize("base", ["https://me:pw@a.example", "https://a.example/?key=1", "https://a.example/#x"])
def test_a_base_holds_nothing_secret_and_nothing_that_a_suffix_would_follow(base: str) -> None:
    assert faults(providers=with_vendor(openai_base=base)) == [
        ("providers.mine.openaiBase", "must hold no user, query or fragment")
    ]


def test_login_addresses_are_checked_too() -> None:
    found = faults(providers=with_vendor(oauth=OAuthAddresses(poll_url="x")))

    assert [path for path, _ in found] == ["providers.mine.oauth.pollUrl"]


def test_a_star_in_a_rule_stands_at_the_end() -> None:
    found = faults(providers=with_vendor(dialects=(DialectRule(set={}, model="a*b"), DialectRule(set={}, model="a*"))))

    assert found == [("providers.mine.dialects[0].model", "may have a * at its end only")]


def test_auto_is_the_start_plans() -> None:
    assert [path for path, _ in faults(coding_plan=PlanSettings(upstream_format=UpstreamFormat.AUTO))] == [
        "codingPlan.upstreamFormat"
    ]


def test_two_listeners_need_two_ports_unless_any_will_do() -> None:
    assert faults(server=ServerSettings(port=80, admin_port=80)) == [
        ("server.adminPort", "is the same as server.port (80)")
    ]
    assert faults(server=ServerSettings(port=0, admin_port=0)) == []


def test_addresses_elsewhere_are_checked() -> None:
    found = faults(
        start_plan=StartPlanSettings(base="x", configs_url="y", system_blocks=("a",), system_blocks_file="b"),
        telemetry=TelemetrySettings(otlp_endpoint="z"),
        upstream=UpstreamSettings(proxy="socks5://p"),
        store=StoreSettings(url="mysql://x"),
    )

    assert [path for path, _ in found] == [
        "telemetry.otlpEndpoint", "upstream.proxy", "store.url", "startPlan.base", "startPlan.configsUrl",
        "startPlan.systemBlocksFile",
    ]  # fmt: skip


def test_system_blocks_come_from_one_place_and_hold_text() -> None:
    assert faults(start_plan=StartPlanSettings(system_blocks=())) == []
    assert faults(start_plan=StartPlanSettings(system_blocks_file="b")) == []
    [(path, words)] = faults(start_plan=StartPlanSettings(system_blocks=("a", " ")))
    assert (path, "[]" in words) == ("startPlan.systemBlocks", True)


def test_the_captcha_service_is_checked_too() -> None:
    assert [path for path, _ in faults(captcha=CaptchaSettings(address="ftp://x"))] == ["captcha.address"]


@pytest.mark.parametrize("proxy", ["http://p.example:3128", "https://u:p@p.example", "p.example:3128"])
def test_a_proxy_may_leave_its_scheme_out(proxy: str) -> None:
    assert faults(upstream=UpstreamSettings(proxy=proxy)) == []


def test_a_proxy_needs_a_host() -> None:
    assert [path for path, _ in faults(upstream=UpstreamSettings(proxy="http://"))] == ["upstream.proxy"]


@pytest.mark.parametrize(
    "url", ["sqlite:///x", "redis://x", "rediss://x", "redis+sentinel://x", "redis+cluster://x", None]
)
def test_the_stores_that_exist(url: str | None) -> None:
    assert faults(store=StoreSettings(url=url)) == []


def test_without_a_client_key_only_loopback_is_listened_on() -> None:
    key = AuthSettings(proxy_api_key=Secret("k"))

    assert rules.bind_host(GatewaySettings()) == "127.0.0.1"
    assert rules.bind_host(GatewaySettings(auth=AuthSettings(proxy_api_key=Secret("")))) == "127.0.0.1"
    assert rules.bind_host(GatewaySettings(auth=key)) == "0.0.0.0"  # noqa: S104 - the documented default
    assert rules.bind_host(GatewaySettings(auth=key, server=ServerSettings(host="::1"))) == "::1"


def test_the_providers_own_key_wins_over_the_common_one() -> None:
    common = AuthSettings(api_key=Secret("common"))
    own = with_vendor(credential=Secret("own"))

    assert rules.upstream_key(GatewaySettings()) is None
    assert rules.upstream_key(GatewaySettings(auth=common)) == Secret("common")
    assert rules.upstream_key(GatewaySettings(auth=common, provider="mine", providers=own)) == Secret("own")
    assert rules.upstream_key(GatewaySettings(auth=common, providers=own)) == Secret("common")


def test_the_start_plan_is_never_called_with_the_api_key() -> None:
    settings = GatewaySettings(plan=Plan.START, auth=AuthSettings(api_key=Secret("common")))

    assert rules.upstream_key(settings) is None
    jwt = msgspec.structs.replace(settings, start_plan=StartPlanSettings(jwt=Secret("jwt")))
    assert rules.upstream_key(jwt) == Secret("jwt")


def test_a_plan_has_its_bases_format_and_routes() -> None:
    coding = GatewaySettings(provider="mine", providers=with_vendor())
    start = GatewaySettings(plan=Plan.START)

    assert rules.bases(coding) == {
        WireFormat.ANTHROPIC: "https://a.example/x",
        WireFormat.OPENAI: "http://o.example:81/y/",
    }
    assert set(rules.bases(start).values()) == {"https://zcode.z.ai/api/v1/zcode-plan"}
    assert rules.upstream_format(coding) is UpstreamFormat.ANTHROPIC
    assert rules.upstream_format(start) is UpstreamFormat.AUTO
    assert rules.routes(coding)[WireFormat.OPENAI].path == b"/y/chat/completions"


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        (UpstreamFormat.ANTHROPIC, (WireFormat.ANTHROPIC,)),
        (UpstreamFormat.OPENAI, (WireFormat.OPENAI,)),
        (UpstreamFormat.NATIVE, (WireFormat.OPENAI, WireFormat.ANTHROPIC)),
    ],
)
def test_which_formats_can_be_spoken(setting: UpstreamFormat, used: tuple[WireFormat, ...]) -> None:
    assert rules.formats_in_use(GatewaySettings(coding_plan=PlanSettings(upstream_format=setting))) == used


def test_the_dialect_follows_the_configured_provider() -> None:
    rule = DialectRule(set={"max_tools": 7})
    settings = GatewaySettings(provider="mine", providers=with_vendor(dialects=(rule,)))

    assert rules.dialect(settings, WireFormat.OPENAI, "m").max_tools == 7
    assert rules.dialect(GatewaySettings(), WireFormat.OPENAI, "m").max_tools == 128


@pytest.mark.parametrize(
    ("proxy", "no_proxy", "host", "used"),
    [
        (None, (), "api.z.ai", None),
        ("http://p:1", (), "api.z.ai", "http://p:1"),
        ("p:1", (), "api.z.ai", "http://p:1"),
        ("http://p:1", (), "127.0.0.1", None),
        ("http://p:1", (), "::1", None),
        ("http://p:1", (), "LOCALHOST", None),
        ("http://p:1", ("z.ai",), "api.z.ai", None),
        ("http://p:1", (" .Z.AI ",), "api.z.ai", None),
        ("http://p:1", ("api.z.ai",), "API.z.ai", None),
        ("http://p:1", ("*",), "api.z.ai", None),
        ("http://p:1", ("i.ai", "other"), "z.ai", "http://p:1"),
        ("http://p:1", ("",), "api.z.ai", "http://p:1"),
    ],
)
def test_which_calls_go_through_the_proxy(
    proxy: str | None, no_proxy: tuple[str, ...], host: str, used: str | None
) -> None:
    assert rules.proxy_for(UpstreamSettings(proxy=proxy, no_proxy=no_proxy), host) == used
