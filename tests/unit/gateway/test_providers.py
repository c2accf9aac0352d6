import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.providers import (
    AUTH,
    PROVIDERS,
    START_PLAN_BASE,
    SUFFIXES,
    DialectRule,
    dialect_for,
    routes_of,
)
from services.gateway.routing import InvalidBase, Plan
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC


def coding_bases(provider: str) -> dict[WireFormat, str]:
    row = PROVIDERS[provider]
    return {ANTHROPIC: row.anthropic_base, OPENAI: row.openai_base}


@pytest.mark.parametrize(
    ("provider", "plan", "wire_format", "url"),
    [
        ("zai", Plan.CODING, ANTHROPIC, "https://api.z.ai:443/api/anthropic/v1/messages"),
        ("zai", Plan.CODING, OPENAI, "https://api.z.ai:443/api/coding/paas/v4/chat/completions"),
        ("bigmodel", Plan.CODING, ANTHROPIC, "https://open.bigmodel.cn:443/api/anthropic/v1/messages"),
        ("bigmodel", Plan.CODING, OPENAI, "https://open.bigmodel.cn:443/api/coding/paas/v4/chat/completions"),
        ("zai", Plan.START, OPENAI, "https://zcode.z.ai:443/api/v1/zcode-plan/chat/completions"),
        ("bigmodel", Plan.START, ANTHROPIC, "https://zcode.z.ai:443/api/v1/zcode-plan/anthropic/v1/messages"),
    ],
)
def test_every_route_of_the_brief_has_its_address(provider: str, plan: Plan, wire_format: WireFormat, url: str) -> None:
    bases = coding_bases(provider) if plan is Plan.CODING else dict.fromkeys(UPSTREAM_FORMATS, START_PLAN_BASE)
    route = routes_of(provider, plan, bases)[wire_format]

    assert f"{route.origin.scheme}://{route.origin.host}:{route.origin.port}{route.path.decode()}" == url
    assert (route.provider, route.plan, route.format) == (provider, plan, wire_format)


VERSION = (b"anthropic-version", b"2023-06-01")


@pytest.mark.parametrize(
    ("plan", "wire_format", "header", "prefix", "fixed"),
    [
        (Plan.CODING, ANTHROPIC, b"x-api-key", b"", (VERSION,)),
        (Plan.CODING, OPENAI, b"authorization", b"Bearer ", ()),
        (Plan.START, OPENAI, b"authorization", b"Bearer ", ()),
        (Plan.START, ANTHROPIC, b"authorization", b"Bearer ", (VERSION,)),
    ],
)
def test_every_route_carries_its_credential_as_the_brief_says(
    plan: Plan, wire_format: WireFormat, header: bytes, prefix: bytes, fixed: tuple[tuple[bytes, bytes], ...]
) -> None:
    route = routes_of("zai", plan, coding_bases("zai"))[wire_format]

    assert (route.auth_header, route.auth_prefix, route.fixed_headers) == (header, prefix, fixed)


def test_the_tables_cover_every_plan_and_format() -> None:
    every = {(plan, wire_format) for plan in Plan for wire_format in UPSTREAM_FORMATS}

    assert AUTH.keys() == SUFFIXES.keys() == every
    assert all(row.dialects.keys() == set(UPSTREAM_FORMATS) for row in PROVIDERS.values())


def test_a_base_that_is_no_address_is_refused() -> None:
    with pytest.raises(InvalidBase):
        routes_of("zai", Plan.CODING, {OPENAI: "api.z.ai"})


def test_keys_have_the_shape_their_vendor_gives_them() -> None:
    assert PROVIDERS["zai"].key_shape.fullmatch("0123456789abcdef.Secret.With.Dots")
    assert not PROVIDERS["zai"].key_shape.fullmatch("sk-0123456789abcdef")
    assert PROVIDERS["bigmodel"].key_shape.fullmatch("0123456789abcdef0123456789abcdef")
    assert not PROVIDERS["bigmodel"].key_shape.fullmatch("short")


def test_a_known_vendor_has_its_own_dialects() -> None:
    assert dialect_for("zai", Plan.CODING, OPENAI, "unheard-of") is GLM_OPENAI
    assert dialect_for("bigmodel", Plan.START, ANTHROPIC, "unheard-of") is GLM_ANTHROPIC


def test_a_vendor_of_the_configuration_is_plain_and_fully_capable() -> None:
    assert dialect_for("mine", Plan.CODING, OPENAI, "glm-5.3") == Dialect()


def test_the_models_family_counts_over_the_vendor() -> None:
    dialect = dialect_for("zai", Plan.CODING, OPENAI, "glm-5.3")

    assert dialect.efforts == ("low", "high", "max")
    assert not dialect.thinking_can_be_disabled


def test_rules_count_over_the_family_and_later_ones_over_earlier_ones() -> None:
    rules = (
        DialectRule(set={"efforts": ("high",), "tool_stream": False}),
        DialectRule(set={"efforts": ("low",)}, model="glm-5.3"),
    )
    dialect = dialect_for("zai", Plan.CODING, OPENAI, "glm-5.3", rules)

    assert (dialect.efforts, dialect.tool_stream, dialect.thinking_can_be_disabled) == (("low",), False, False)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"format": OPENAI}, True),
        ({"format": ANTHROPIC}, False),
        ({"plan": Plan.CODING}, True),
        ({"plan": Plan.START}, False),
        ({"model": "GLM-4.6"}, True),
        ({"model": "glm-4*"}, True),
        ({"model": "*"}, True),
        ({"model": "glm-4"}, False),
        ({"model": "glm-5*"}, False),
        ({"model": "glm-4.6", "format": OPENAI, "plan": Plan.START}, False),
    ],
)
def test_a_rule_is_about_what_it_names_and_about_all_of_what_it_leaves_out(
    rule: dict[str, object], *, matches: bool
) -> None:
    written = DialectRule(set={"top_k": True}, **rule)  # type: ignore[arg-type]

    assert written.matches(Plan.CODING, OPENAI, "glm-4.6[1m]") is matches
    assert dialect_for("zai", Plan.CODING, OPENAI, "glm-4.6[1m]", [written]).top_k is matches
