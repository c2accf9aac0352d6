from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from services.chassis import settings_table
from services.chassis.secret import Secret
from services.chassis.settings import Loaded, load_settings
from services.gateway.catalogue import Model
from services.gateway.providers import DialectRule
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.settings import VARIABLES, GatewaySettings, known_providers
from services.gateway.settings_rules import complaints, dialect, upstream_key
from services.gateway.wire.formats import WireFormat

SEED = (Path(__file__).parents[2] / "golden" / "config" / "seed.yaml").read_text()


def no_files(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def load(text: str | None = None, environ: dict[str, str] | None = None) -> Loaded[GatewaySettings]:
    return load_settings(GatewaySettings, text, environ or {}, VARIABLES, read_file=no_files, validate=complaints)


def test_a_seed_users_file_works_unchanged() -> None:
    loaded = load(SEED)
    settings = loaded.unwrap()

    assert loaded.warnings == ()
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8090)
    assert upstream_key(settings) == Secret("0123456789abcdef.SeedSecret")
    assert settings.auth.proxy_api_key == Secret("sk-local-clients-0123456789")
    assert (settings.provider, settings.plan, settings.default_model) == ("zai", Plan.CODING, "glm-5.1")
    assert settings.identity.app_version == "3.10"
    assert settings.models == (Model(id="glm-5.1"), Model(id="glm-4.5-air"))


def test_a_seed_users_environment_works_unchanged() -> None:
    settings = load(
        None,
        {
            "ZCODE_PROXY_PORT": "9000",
            "ZCODE_API_KEY": "env.key",
            "ZCODE_PROXY_API_KEY": "client",
            "ZCODE_PROVIDER": "bigmodel",
            "ZCODE_APP_VERSION": "4.0",
            "ZCODE_SOURCE_TITLE": "desk",
            "ZCODE_REFERER_ORIGIN": "https://example.org",
            "ZCODE_PROXY_CONFIG": "config.yaml",
            "ZCODE_CAPTCHA_RETRIES": "1",
            "ZCODE_CAPTCHA_TIMEOUT_MS": "2",
            "ZCODE_CAPTCHA_SDK_LOAD_MS": "3",
            "ZCODE_PROXY_STORE_DIR": "/state",
            "ZCODE_OAUTH_CALLBACK_PORT": "4",
        },
    ).unwrap()
    identity, captcha = settings.identity, settings.captcha

    assert settings.server.port == 9000
    assert (settings.provider, settings.auth.api_key) == ("bigmodel", Secret("env.key"))
    assert (identity.app_version, identity.source_title, identity.referer_origin) == (
        "4.0", "desk", "https://example.org"
    )  # fmt: skip
    assert (captcha.retries, captcha.timeout_ms, captcha.sdk_load_ms) == (1, 2, 3)
    assert (settings.store.dir, settings.auth.oauth_callback_port) == ("/state", 4)


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("server.port", 8080),
        ("server.adminPort", 9090),
        ("auth.mode", "apikey"),
        ("provider", "zai"),
        ("plan", "coding-plan"),
        ("codingPlan.upstreamFormat", "anthropic"),
        ("startPlan.upstreamFormat", "auto"),
        ("startPlan.base", "https://zcode.z.ai/api/v1/zcode-plan"),
        ("identity.appVersion", "3.2.2"),
        ("identity.sourceTitle", "cli"),
        ("identity.refererOrigin", "https://zcode.z.ai"),
        ("captcha.retries", 3),
        ("captcha.timeoutMs", 40_000),
        ("captcha.sdkLoadMs", 20_000),
        ("store.dir", "~/.zcode-proxy"),
        ("limits.firstByte", 300),
        ("limits.body", 33_554_432),
        ("upstream.transport", "pooled"),
        ("providers.zai.anthropicBase", "https://api.z.ai/api/anthropic"),
        ("providers.bigmodel.openaiBase", "https://open.bigmodel.cn/api/coding/paas/v4"),
    ],
)
def test_the_documented_defaults(path: str, default: object) -> None:
    shown = {row.path: row.value for row in settings_table.rows(GatewaySettings(), {})}

    assert shown[path] == default


@pytest.mark.parametrize(
    "path",
    [
        "server.host", "server.adminPort", "auth.apiKey", "auth.proxyApiKey", "codingPlan.upstreamFormat",
        "startPlan.jwt", "startPlan.systemBlocks", "startPlan.systemBlocksFile", "startPlan.configsUrl",
        "providers.zai.oauth.authorizeUrl", "providers.zai.oauth.tokenUrl", "providers.zai.oauth.initUrl",
        "providers.zai.oauth.pollUrl", "providers.zai.oauth.bizBase", "providers.zai.oauth.loginUrl",
        "providers.zai.credential", "defaultModel", "models", "logging.level", "store.url", "keyring.file",
        "telemetry.otlpEndpoint", "upstream.proxy", "upstream.caFile",
    ],
)  # fmt: skip
def test_every_name_of_the_design_is_there(path: str) -> None:
    assert path in {row.path for row in settings_table.rows(GatewaySettings(), {})}


def test_every_setting_says_what_it_means() -> None:
    listed = settings_table.rows(GatewaySettings(), VARIABLES.names)

    assert [row.path for row in listed if not row.meaning] == []


def test_every_variable_leads_to_a_setting() -> None:
    paths = {row.path for row in settings_table.rows(GatewaySettings(), {})}

    assert {*VARIABLES.names.values(), *VARIABLES.fallbacks.values()} <= paths


def test_keys_of_newer_seed_versions_are_no_settings_of_ours() -> None:
    for path in VARIABLES.later_keys:
        text = "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(path.split(".")))
        loaded = load(text)

        assert loaded.faults == ()
        assert [warning.path for warning in loaded.warnings] == [path]


def test_a_providers_own_entry_is_merged_into_the_table() -> None:
    settings = load("providers:\n  zai:\n    credential: own.key\n").unwrap()

    assert settings.providers["zai"].openai_base == known_providers()["zai"].openai_base
    assert upstream_key(settings) == Secret("own.key")


def test_dialects_are_corrected_by_rules_of_the_file() -> None:
    settings = load(
        "providers:\n  zai:\n    dialects:\n"
        "      - {format: openai, model: glm-4.6*, set: {toolStream: false, stopLimit: null, toolChoice: full}}\n"
    ).unwrap()
    (rule,) = settings.providers["zai"].dialects

    assert isinstance(rule, DialectRule)
    assert dialect(settings, WireFormat.OPENAI, "glm-4.6v").stop_limit is None
    assert dialect(settings, WireFormat.OPENAI, "glm-4.7").stop_limit == 1


def test_a_dialect_field_that_does_not_exist_is_a_fault() -> None:
    loaded = load("providers: {zai: {dialects: [{set: {toolStreams: false}}]}}\n")

    assert [str(fault) for fault in loaded.faults] == [
        "config.yaml:1: providers.zai.dialects[0].set.toolStreams: is not a setting; did you mean toolStream?"
    ]


def test_words_of_the_file_become_enums() -> None:
    settings = load("plan: start-plan\nstartPlan: {upstreamFormat: native}\n").unwrap()

    assert (settings.plan, settings.start_plan.upstream_format) == (Plan.START, UpstreamFormat.NATIVE)


def test_no_secret_is_shown_by_a_settings_repr() -> None:
    settings = load(SEED, {"ZCODE_START_PLAN_JWT": "canary.jwt"}).unwrap()

    assert not any(canary in repr(settings) for canary in ("SeedSecret", "sk-local", "canary"))


def test_secrets_have_the_type_that_does_not_print() -> None:
    """A new field with a telling name must not be a plain string."""
    telling = ("key", "secret", "credential", "jwt", "token", "password")
    listed = settings_table.rows(GatewaySettings(), {})
    plain_words = [
        row.path
        for row in listed
        if any(word in row.path.rpartition(".")[2].lower() for word in telling) and not row.secret
        if not row.path.endswith("File")  # a path, which is no secret
    ]

    assert plain_words == ["providers.zai.oauth.tokenUrl", "providers.bigmodel.oauth.tokenUrl", "limits.streamsPerKey"]


def test_all_structs_are_frozen() -> None:
    def structs(kind: inspect.Type) -> list[type]:
        match kind:
            case inspect.Metadata():
                return structs(kind.type)
            case inspect.StructType():
                return [kind.cls, *(cls for field in kind.fields for cls in structs(field.type))]
            case _:
                return []

    for cls in structs(inspect.type_info(GatewaySettings)):
        assert issubclass(cls, msgspec.Struct)
        assert cls.__struct_config__.frozen
