"""
The gateway's settings: what stands here is the documentation of the names, meanings and defaults.

Names in the file are the camelCase of these; `VARIABLES` at the end lists the environment's. Fields that no process
of this version reads yet are accepted, checked and kept, so that one file serves the whole family. Nothing below
`app` sees these objects: it unpacks them. What follows from several settings together is in `settings_rules.py`.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from services.captcha import settings as captcha_settings
from services.captcha.settings import CaptchaSettings
from services.chassis.secret import Secret
from services.chassis.settings import Variables
from services.credentials import settings as credentials_settings
from services.credentials.settings import KeyringSettings, ListenSettings, StoreSettings
from services.gateway import catalogue, providers
from services.gateway.providers import DialectRule, OAuthAddresses
from services.gateway.routing import Plan, UpstreamFormat

ModelSettings = catalogue.Model

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free port
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where clients and operators connect."""

    host: Annotated[
        str | None, Meta(description="address to listen on; unset: 0.0.0.0 with a client key, else loopback only")
    ] = None
    port: Annotated[Port, Meta(description="port for clients")] = 8080
    admin_host: Annotated[
        str | None, Meta(description="address of the admin port; unset: loopback in all-in-one, else as host")
    ] = None
    admin_port: Annotated[Port, Meta(description="port for probes and metrics")] = 9090
    cors_origins: Annotated[
        tuple[str, ...], Meta(description="origins that browsers may call from; empty: no CORS headers at all")
    ] = ()
    allowed_hosts: Annotated[tuple[str, ...], Meta(description="exact Host values that are served; empty: any")] = ()
    forwarded_allow_ips: Annotated[
        tuple[str, ...], Meta(description="peers whose X-Forwarded-* headers are believed; empty: nobody")
    ] = ()


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who may call, and with what the upstream is called."""

    mode: Annotated[
        Literal["apikey", "oauth"], Meta(description="whether the upstream is called with a key or a login")
    ] = "apikey"
    api_key: Annotated[Secret | None, Meta(description="the plan's key, unless the provider has its own")] = None
    proxy_api_key: Annotated[
        Secret | None, Meta(description="what clients must present; unset: only loopback is served")
    ] = None
    oauth_callback_port: Annotated[Port, Meta(description="port of the login's callback; 0: any free one")] = 0


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the upstream is told of the client, upstream.md section 3."""

    app_version: Annotated[str, Meta(description="version in User-Agent and X-ZCode-App-Version")] = "3.2.2"
    source_title: Annotated[str, Meta(description="source in X-Title")] = "cli"
    referer_origin: Annotated[str, Meta(description="HTTP-Referer")] = "https://zcode.z.ai"


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One vendor: bases without the fixed suffix, and what its routes can do."""

    anthropic_base: Annotated[str, Meta(description="base of the Anthropic format; /v1/messages is appended")]
    openai_base: Annotated[str, Meta(description="base of the OpenAI format; /chat/completions is appended")]
    credential: Annotated[Secret | None, Meta(description="this provider's key; wins over auth.apiKey")] = None
    oauth: Annotated[OAuthAddresses, Meta(description="addresses of the login")] = OAuthAddresses()
    dialects: Annotated[
        tuple[DialectRule, ...],
        Meta(description="corrections, as {format: openai, model: glm-4.6*, set: {toolStream: false}}; later ones win"),
    ] = ()


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which format a plan's upstream is spoken to in."""

    upstream_format: Annotated[
        UpstreamFormat,
        Meta(description="format spoken to the upstream; native: the client's own, untranslated (Responses: openai)"),
    ] = UpstreamFormat.ANTHROPIC


DEFAULT_SYSTEM_BLOCKS: Final = (providers.NEUTRAL_SYSTEM_BLOCK,)


class StartPlanSettings(PlanSettings, frozen=True, kw_only=True, rename="camel"):
    """The start-plan's own address and needs, upstream.md sections 1, 4 (M4) and 5."""

    upstream_format: Annotated[
        UpstreamFormat, Meta(description="as codingPlan.upstreamFormat; auto: try the other one on 404")
    ] = UpstreamFormat.AUTO
    base: Annotated[
        str, Meta(description="base of both formats; /chat/completions or /anthropic/v1/messages is appended")
    ] = providers.START_PLAN_BASE
    jwt: Annotated[Secret | None, Meta(description="the start-plan token")] = None
    system_blocks: Annotated[
        tuple[str, ...], Meta(description="system texts put before the client's own; []: none")
    ] = DEFAULT_SYSTEM_BLOCKS
    system_blocks_file: Annotated[
        str | None, Meta(description="file that holds them instead: a .json list, else one text")
    ] = None
    configs_url: Annotated[str, Meta(description="where the captcha's configuration is")] = providers.START_PLAN_CONFIGS


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is counted, kept and sent; the standard OTEL_* variables hold as well."""

    otlp_endpoint: Annotated[str | None, Meta(description="OTLP/HTTP endpoint; unset: no traces")] = None
    accept_traceparent: Annotated[
        bool, Meta(description="whether the trace ids that clients send are taken over; for clients of your own")
    ] = False
    metrics: Annotated[bool, Meta(description="whether requests are counted at all")] = True
    usage_days: Annotated[
        int, Meta(ge=0, le=400, description="days that the tokens of each hour are kept; 0: not kept")
    ] = 35
    quota_seconds: Annotated[
        int, Meta(ge=0, description="seconds between two questions for the plan's quota, at least 60; 0: none")
    ] = 120


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """promises.md C7 with design.md section 6; seconds and bytes."""

    connections: Annotated[Count, Meta(description="client connections at once")] = 2000
    request_line: Annotated[Bytes, Meta(description="bytes of a request line")] = 8 * 1024
    headers: Annotated[Bytes, Meta(description="bytes of a request's headers")] = 32 * 1024
    header_count: Annotated[Count, Meta(description="headers of a request")] = 100
    header_seconds: Annotated[Seconds, Meta(description="seconds for the headers to arrive")] = 10.0
    body: Annotated[Bytes, Meta(description="bytes of a body on the data routes")] = 32 * 1024 * 1024
    other_body: Annotated[Bytes, Meta(description="bytes of a body elsewhere")] = 64 * 1024
    body_seconds: Annotated[Seconds, Meta(description="seconds for the body to arrive, at most")] = 120.0
    json_depth: Annotated[Count, Meta(description="nesting of a body")] = 64
    messages: Annotated[Count, Meta(description="messages of a request")] = 4096
    tools: Annotated[Count, Meta(description="tools of a request")] = 512
    keep_alive: Annotated[Seconds, Meta(description="seconds an idle client connection is kept")] = 75.0
    streams: Annotated[Count, Meta(description="requests in flight at once")] = 200
    streams_per_key: Annotated[int, Meta(ge=0, description="requests in flight per client key; 0: no own limit")] = 0
    queue: Annotated[int, Meta(ge=0, description="requests of a key that may wait for a place")] = 16
    queue_seconds: Annotated[Seconds, Meta(description="seconds they wait")] = 10.0
    write_stall: Annotated[Seconds, Meta(description="seconds a client may take nothing")] = 30.0
    ping: Annotated[Seconds, Meta(description="idle seconds before a keep-alive to the client")] = 15.0
    hold_headers: Annotated[Seconds, Meta(description="seconds headers wait for the first event")] = 10.0
    pool_seconds: Annotated[Seconds, Meta(description="seconds to wait for an upstream connection slot")] = 2.0
    connect: Annotated[Seconds, Meta(description="seconds for DNS, TCP and TLS")] = 5.0
    first_byte: Annotated[Seconds, Meta(description="seconds for the upstream's headers")] = 300.0
    idle: Annotated[Seconds, Meta(description="seconds between two bytes of an answer")] = 300.0
    total_stream: Annotated[Seconds, Meta(description="seconds of a whole stream")] = 1800.0
    total_batch: Annotated[Seconds, Meta(description="seconds of a whole answer that is no stream")] = 600.0
    answer_stream: Annotated[Bytes, Meta(description="bytes of a streamed answer")] = 64 * 1024 * 1024
    answer_batch: Annotated[Bytes, Meta(description="bytes of an answer that is no stream")] = 16 * 1024 * 1024
    event: Annotated[Bytes, Meta(description="bytes of one event")] = 1024 * 1024
    upstream_connections: Annotated[Count, Meta(description="connections to the upstream")] = 200
    retries: Annotated[int, Meta(ge=0, description="further tries before the first byte")] = 2
    breaker: Annotated[
        int, Meta(ge=0, description="failures in a row after which the upstream is left alone for a while; 0: never")
    ] = 5
    drain: Annotated[Seconds, Meta(description="seconds open requests get at shutdown")] = 600.0


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the upstream is reached."""

    transport: Annotated[
        Literal["pooled", "httpx"], Meta(description="HTTP client; a proxy selects httpx by itself")
    ] = "pooled"
    proxy: Annotated[str | None, Meta(description="HTTP proxy for upstream calls, never for loopback")] = None
    no_proxy: Annotated[tuple[str, ...], Meta(description="hosts that are reached without the proxy")] = ()
    ca_file: Annotated[str | None, Meta(description="PEM file of certificate authorities to trust")] = None


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much is said."""

    level: Annotated[
        Literal["trace", "debug", "info", "warn", "warning", "error", "fatal", "critical", "silent"],
        Meta(description="the least grave that is logged"),
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console", "compact"], Meta(description="auto: compact on a terminal, else json")
    ] = "auto"


def known_providers() -> dict[str, ProviderSettings]:
    """Return the table's vendors as settings; a configured entry of the same name is merged into them."""
    return {
        name: ProviderSettings(anthropic_base=row.anthropic_base, openai_base=row.openai_base, oauth=row.oauth)
        for name, row in providers.PROVIDERS.items()
    }


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything the gateway is told at start."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    provider: Annotated[str, Meta(description="whose plan is used: zai, bigmodel or one under providers")] = "zai"
    plan: Annotated[Plan, Meta(description="which plan the account has")] = Plan.CODING
    providers: dict[str, ProviderSettings] = msgspec.field(default_factory=known_providers)
    coding_plan: PlanSettings = PlanSettings()
    start_plan: StartPlanSettings = StartPlanSettings()
    captcha: CaptchaSettings = CaptchaSettings()
    identity: IdentitySettings = IdentitySettings()
    default_model: Annotated[
        str | None, Meta(description="model for requests that name none, and for `zcode-proxy env`")
    ] = None
    models: Annotated[tuple[ModelSettings, ...], Meta(description="models to add to the listing")] = ()
    credentials: ListenSettings = ListenSettings()
    store: StoreSettings = StoreSettings()
    keyring: KeyringSettings = KeyringSettings()
    limits: LimitSettings = LimitSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    upstream: UpstreamSettings = UpstreamSettings()
    logging: LoggingSettings = LoggingSettings()
    simulated: Annotated[bool, Meta(description="the upstream is the simulator: every answer says so")] = False


VARIABLES: Final = Variables(
    names={
        "ZCODE_PROXY_PORT": "server.port",
        "ZCODE_PROXY_ADMIN_PORT": "server.adminPort",
        "ZCODE_API_KEY": "auth.apiKey",
        "ZCODE_PROXY_API_KEY": "auth.proxyApiKey",
        "ZCODE_OAUTH_CALLBACK_PORT": "auth.oauthCallbackPort",
        "ZCODE_PROVIDER": "provider",
        "ZCODE_APP_VERSION": "identity.appVersion",
        "ZCODE_SOURCE_TITLE": "identity.sourceTitle",
        "ZCODE_REFERER_ORIGIN": "identity.refererOrigin",
        "ZCODE_START_PLAN_JWT": "startPlan.jwt",
        **captcha_settings.ENV,
        **credentials_settings.ENV,
        "ZCODE_UPSTREAM_PROXY": "upstream.proxy",
    },
    fallbacks={
        "HTTPS_PROXY": "upstream.proxy",
        "https_proxy": "upstream.proxy",
        "NO_PROXY": "upstream.noProxy",
        "no_proxy": "upstream.noProxy",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "telemetry.otlpEndpoint",
    },
    prefix="ZCODE_",
    others=(
        "ZCODE_PROXY_CONFIG",
        "ZCODE_PROXY_CREDENTIAL_SECRET",
        "ZCODE_CLIENT_KEY",
        "ZCODE_SIMULATOR_",
        "ZCODE_CREDENTIALS_SERVER",
        "ZCODE_TEST_",
    ),
    # What newer versions of the seed project may write into the same file: worth a warning, not a refusal to start.
    later_keys={
        "accounts": "several accounts are credentials of this project, not settings",
        "server.tls": "put a TLS proxy in front",
        "server.cors": "see server.corsOrigins",
        "logging.file": "logs go to the standard output",
    },
)
