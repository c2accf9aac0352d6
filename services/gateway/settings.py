"""The gateway's settings: the defaults below are the documentation of the defaults."""

import msgspec

from services.chassis.secret import Secret
from services.gateway.dialect import Dialect


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where clients and operators connect."""

    host: str | None = None  # None: 0.0.0.0 with a client key, else 127.0.0.1
    port: int = 8080
    admin_host: str | None = None  # None: as host in a cluster, loopback in all-in-one
    admin_port: int = 9090
    cors_origins: tuple[str, ...] = ()  # empty: no CORS headers at all
    allowed_hosts: tuple[str, ...] = ()  # exact Host values; empty: any
    forwarded_allow_ips: tuple[str, ...] = ()  # peers whose X-Forwarded-* are believed; empty: nobody


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who may call, and with what the upstream is called."""

    mode: str = "apikey"  # apikey | oauth
    api_key: Secret | None = None  # the plan's key, unless the provider has its own
    proxy_api_key: Secret | None = None  # what clients must present; None: loopback only


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the upstream is told of the client, upstream.md section 3."""

    app_version: str = "3.2.2"
    source_title: str = "cli"
    referer_origin: str = "https://zcode.z.ai"


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor: bases without the fixed suffix, and what its routes can do."""

    anthropic_base: str
    openai_base: str
    credential: Secret | None = None
    dialects: dict[str, Dialect] = {}  # "anthropic" | "openai", with optional ":<plan>" and ":<model>" after it


class PlanSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which format a plan's upstream is spoken to in."""

    upstream_format: str = "anthropic"  # anthropic | openai | native | auto


class ModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the listing; informational, an unknown model is still forwarded."""

    id: str
    context: int = 200_000
    max_output: int = 131_072


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """promises.md C7 with design.md section 6; seconds and bytes."""

    connections: int = 2000
    request_line: int = 8 * 1024
    headers: int = 32 * 1024
    header_count: int = 100
    header_seconds: float = 10.0
    body: int = 32 * 1024 * 1024
    other_body: int = 64 * 1024
    body_seconds: float = 120.0
    json_depth: int = 64
    messages: int = 4096
    tools: int = 512
    keep_alive: float = 75.0
    streams: int = 200
    streams_per_key: int = 0  # 0: no limit of its own
    queue: int = 16
    queue_seconds: float = 10.0
    write_stall: float = 30.0
    ping: float = 15.0
    hold_headers: float = 10.0
    pool_seconds: float = 2.0
    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 300.0
    total_stream: float = 1800.0
    total_batch: float = 600.0
    answer_stream: int = 64 * 1024 * 1024
    answer_batch: int = 32 * 1024 * 1024
    event: int = 1024 * 1024
    upstream_connections: int = 200
    retries: int = 2
    drain: float = 600.0


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the upstream is reached."""

    transport: str = "pooled"  # pooled | httpx
    proxy: str | None = None
    ca_file: str | None = None


class LoggingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is said."""

    level: str = "info"
    format: str = "auto"  # auto: console on a terminal, else json


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gateway is told at start; nothing below `app` sees this object."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    provider: str = "zai"
    plan: str = "coding-plan"
    providers: dict[str, ProviderSettings]
    coding_plan: PlanSettings = PlanSettings()
    start_plan: PlanSettings = PlanSettings(upstream_format="auto")
    identity: IdentitySettings = IdentitySettings()
    default_model: str | None = None
    models: tuple[ModelSettings, ...] = ()
    limits: LimitSettings = LimitSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    logging: LoggingSettings = LoggingSettings()
    simulated: bool = False  # the upstream is the simulator: every answer says so
