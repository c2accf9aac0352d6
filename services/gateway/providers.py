"""
The vendors, as a table: addresses, how each route is authenticated, what each route can do.

A new vendor or plan is a row here or an entry of the configuration, never an `if` elsewhere.
Sources: upstream.md sections 1 and 2. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.chassis.settings_reader import PARTIAL
from services.gateway.catalogue import family_changes, plain_id
from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.routing import SUFFIX, Plan, Routes, UpstreamRoute, address
from services.gateway.wire.formats import WireFormat

_OAUTH: Final = "https://zcode.z.ai/api/v1/oauth"
_ANTHROPIC_VERSION: Final = ((b"anthropic-version", b"2023-06-01"),)

START_PLAN_BASE: Final = "https://zcode.z.ai/api/v1/zcode-plan"
# The start plan inspects the system text. The text that its own client sends is the vendor's, and not shipped.
NEUTRAL_SYSTEM_BLOCK: Final = "You assist the user of this program with the task at hand."
START_PLAN_CONFIGS: Final = "https://zcode.z.ai/api/v1/client/configs"


class OAuthAddresses(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a login goes; `/{flow_id}` is appended to `poll_url`. Settings, so that a stand-in can serve them."""

    authorize_url: Annotated[str | None, Meta(description="the page where a person logs in")] = None
    token_url: Annotated[str | None, Meta(description="where a code becomes a token")] = None
    init_url: Annotated[str | None, Meta(description="where a login without a callback begins")] = None
    poll_url: Annotated[str | None, Meta(description="where its outcome is asked for; /{flow_id} is appended")] = None
    biz_base: Annotated[str | None, Meta(description="base of the account calls")] = None
    login_url: Annotated[str | None, Meta(description="where a token becomes a business token")] = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's row. Bases are without the fixed suffix."""

    title: str
    anthropic_base: str
    openai_base: str
    general_openai_base: str  # the pay-as-you-go address: with a plan's key it answers 1113
    oauth: OAuthAddresses
    key_shape: re.Pattern[str]  # what a credential looks like; for `doctor` only
    key_words: str  # the same in words
    dialects: Mapping[WireFormat, Dialect]


_GLM: Final = {WireFormat.OPENAI: GLM_OPENAI, WireFormat.ANTHROPIC: GLM_ANTHROPIC}

PROVIDERS: Final[Mapping[str, Provider]] = {
    "zai": Provider(
        title="Z.AI",
        anthropic_base="https://api.z.ai/api/anthropic",
        openai_base="https://api.z.ai/api/coding/paas/v4",
        general_openai_base="https://api.z.ai/api/paas/v4",
        oauth=OAuthAddresses(
            authorize_url="https://chat.z.ai/api/oauth/authorize",
            token_url=f"{_OAUTH}/token",
            init_url=f"{_OAUTH}/cli/init",
            poll_url=f"{_OAUTH}/cli/poll",
            biz_base="https://api.z.ai",
            login_url="https://api.z.ai/api/auth/z/login",
        ),
        key_shape=re.compile(r"[^.\s]+\.\S+"),
        key_words="{id}.{secret}, with a dot in between",
        dialects=_GLM,
    ),
    "bigmodel": Provider(
        title="Bigmodel",
        anthropic_base="https://open.bigmodel.cn/api/anthropic",
        openai_base="https://open.bigmodel.cn/api/coding/paas/v4",
        general_openai_base="https://open.bigmodel.cn/api/paas/v4",
        oauth=OAuthAddresses(
            authorize_url="https://bigmodel.cn/login",
            token_url=f"{_OAUTH}/token",
            init_url=f"{_OAUTH}/cli/init",
            poll_url=f"{_OAUTH}/cli/poll",
            biz_base="https://bigmodel.cn",
        ),
        key_shape=re.compile(r"\S{16,}"),
        key_words="16 characters or more",
        dialects=_GLM,
    ),
}


class AuthScheme(msgspec.Struct, frozen=True):
    """Which header carries the credential, what stands before it, and which headers the route always wants."""

    header: bytes
    prefix: bytes = b""
    fixed: tuple[tuple[bytes, bytes], ...] = ()


AUTH: Final[Mapping[tuple[Plan, WireFormat], AuthScheme]] = {
    (Plan.CODING, WireFormat.ANTHROPIC): AuthScheme(b"x-api-key", b"", _ANTHROPIC_VERSION),
    (Plan.CODING, WireFormat.OPENAI): AuthScheme(b"authorization", b"Bearer "),
    (Plan.START, WireFormat.ANTHROPIC): AuthScheme(b"authorization", b"Bearer ", _ANTHROPIC_VERSION),
    (Plan.START, WireFormat.OPENAI): AuthScheme(b"authorization", b"Bearer "),
}

# What is appended to a base. The start-plan has one base for both formats.
SUFFIXES: Final[Mapping[tuple[Plan, WireFormat], str]] = {
    (Plan.CODING, WireFormat.ANTHROPIC): SUFFIX[WireFormat.ANTHROPIC],
    (Plan.CODING, WireFormat.OPENAI): SUFFIX[WireFormat.OPENAI],
    (Plan.START, WireFormat.ANTHROPIC): "/anthropic" + SUFFIX[WireFormat.ANTHROPIC],
    (Plan.START, WireFormat.OPENAI): SUFFIX[WireFormat.OPENAI],
}


class DialectRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """
    A correction from the configuration: on matching routes these fields differ.

    What is left out matches everything. `model` is a name or, with a `*` at its end, the beginning of names.
    """

    set: Annotated[dict[str, object], Meta(extra={PARTIAL: Dialect})]
    format: WireFormat | None = None
    plan: Plan | None = None
    model: str | None = None

    def matches(self, plan: Plan, wire_format: WireFormat, model: str) -> bool:
        """Say whether the rule is about this route and model."""
        return self.format in (None, wire_format) and self.plan in (None, plan) and self._names(plain_id(model))

    def _names(self, model: str) -> bool:
        if self.model is None:
            return True
        wanted = plain_id(self.model)
        return model.startswith(wanted[:-1]) if wanted.endswith("*") else model == wanted


def routes_of(provider: str, plan: Plan, bases: Mapping[WireFormat, str]) -> Routes:
    """Build a plan's routes from its bases, one per upstream format; raises InvalidBase."""
    routes = {}
    for wire_format, base in bases.items():
        auth = AUTH[plan, wire_format]
        origin, path = address(base, SUFFIXES[plan, wire_format])
        routes[wire_format] = UpstreamRoute(
            provider=provider,
            plan=plan,
            format=wire_format,
            origin=origin,
            path=path,
            auth_header=auth.header,
            auth_prefix=auth.prefix,
            fixed_headers=auth.fixed,
        )
    return routes


def dialect_for(
    provider: str, plan: Plan, wire_format: WireFormat, model: str, rules: Iterable[DialectRule] = ()
) -> Dialect:
    """
    Return what a route can do for a model: the vendor's own, then the model family's, then the configuration's rules
    in order, the later ones winning. A vendor known only to the configuration counts as plain and fully capable.
    """
    row = PROVIDERS.get(provider)
    dialect = Dialect() if row is None else row.dialects[wire_format]
    changes = {} if row is None else family_changes(model, wire_format)
    for rule in rules:
        if rule.matches(plan, wire_format, model):
            changes |= rule.set
    return msgspec.structs.replace(dialect, **changes) if changes else dialect
