"""
What is measured: reverse proxies as the yardstick, this gateway in its variants. Other gateways are in `peers.py`.

A subject is a process and one way to ask it. Several subjects may share a process.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from bench.places import PROJECT, RUN
from bench.processes import Process, free_port
from bench.requests import CLIENT_KEY, PATHS, UPSTREAM_KEY, Dialect

NGINX: Final = """
daemon off; worker_processes 1; pid {run}/nginx.pid; error_log {run}/nginx.err warn; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_buffer_size 256k;
  client_body_temp_path {run}/nginx-body; proxy_temp_path {run}/nginx-proxy;
  fastcgi_temp_path {run}/nginx-f; uwsgi_temp_path {run}/nginx-u; scgi_temp_path {run}/nginx-s;
  keepalive_requests 100000000; tcp_nodelay on;
  upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      if ($http_x_api_key != "{client}") {{ return 401; }}
      proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 600s; proxy_send_timeout 600s;
      proxy_set_header Connection ""; proxy_set_header x-api-key "{upstream}"; proxy_pass http://mock;
    }}
  }}
}}
"""

HAPROXY: Final = """
global
  nbthread 1
  maxconn 6000
defaults
  mode http
  option http-no-delay
  option abortonclose
  http-reuse always
  timeout client 600s
  timeout server 600s
  timeout connect 5s
  timeout http-keep-alive 75s
frontend front
  bind 127.0.0.1:{port} backlog 4096
  http-request deny deny_status 401 unless {{ req.hdr(x-api-key) -m str {client} }}
  http-request set-header x-api-key {upstream}
  default_backend back
backend back
  server mock 127.0.0.1:{mock} maxconn 6000 pool-max-conn 1024
"""

GATEWAY: Final = """
server: {{host: 127.0.0.1, port: {port}, adminPort: {admin}}}
auth: {{apiKey: {upstream}, proxyApiKey: {client}}}
provider: zai
providers:
  zai: {{anthropicBase: "http://127.0.0.1:{mock}/api/anthropic", openaiBase: "http://127.0.0.1:{mock}/api/coding/paas/v4"}}
codingPlan: {{upstreamFormat: {format}}}
upstream: {{transport: {transport}}}
limits: {{streams: 4000, connections: 5000, upstreamConnections: 4000}}
store: {{dir: "{run}/store"}}
{seen}
"""

# What is seen of the requests: as shipped, nothing at all, and every one of them traced to a collector that is away.
SHIPPED: Final = "logging: {level: info, format: json}"
QUIET: Final = "logging: {level: silent}\ntelemetry: {metrics: false, usageDays: 0, quotaSeconds: 0}"
_EXPORTED: Final = 4.5  # seconds in which the spans of a measure are offered to a collector that is away
TRACED: Final = f'{SHIPPED}\ntelemetry: {{otlpEndpoint: "http://127.0.0.1:9"}}'


class Server:
    """How to start one process that is measured. A new port is taken at each start."""

    def __init__(self, name: str, mock: int) -> None:
        self.name = name
        self.mock = mock

    def start(self) -> Process:
        """Return a process to be entered."""
        raise NotImplementedError

    def file(self, name: str, template: str, **values: object) -> Path:
        """Write a configuration; returns its path."""
        path = RUN / f"{self.name}-{name}"
        path.write_text(
            template.format(mock=self.mock, client=CLIENT_KEY, upstream=UPSTREAM_KEY, run=RUN, **values).lstrip()
        )
        return path

    @property
    def log(self) -> Path:
        """Where the process writes."""
        return RUN / f"{self.name}.log"


class Nginx(Server):
    """nginx, one worker, no buffering."""

    def start(self) -> Process:
        """Return a process to be entered."""
        port = free_port()
        config = self.file("nginx.conf", NGINX, port=port)
        return Process(["nginx", "-p", RUN, "-c", config], port, self.log)


class Haproxy(Server):
    """haproxy as an HTTP proxy, one thread."""

    def start(self) -> Process:
        """Return a process to be entered."""
        port = free_port()
        return Process(["haproxy", "-db", "-f", self.file("haproxy.cfg", HAPROXY, port=port)], port, self.log)


class Floor(Server):
    """The least that a relay in Python can do."""

    def start(self) -> Process:
        """Return a process to be entered."""
        port = free_port()
        command = [sys.executable, "-m", "bench.floor", str(port), str(self.mock), CLIENT_KEY, UPSTREAM_KEY]
        return Process(command, port, self.log, environment=clean_environment(PYTHONPATH=str(PROJECT)), directory=RUN)


class Gateway(Server):
    """This gateway, one process, with authentication, routing, accounting and the request log on."""

    def __init__(
        self,
        name: str,
        mock: int,
        *,
        upstream_format: str,
        transport: str = "pooled",
        python: Path | None = None,
        seen: str = SHIPPED,
    ) -> None:
        super().__init__(name, mock)
        self._seen = seen
        self._format = upstream_format
        self._transport = transport
        self._python = python or Path(sys.executable)

    def start(self) -> Process:
        """Return a process to be entered."""
        port = free_port()
        config = self.file(
            "config.yaml",
            GATEWAY,
            port=port,
            admin=free_port(),
            format=self._format,
            transport=self._transport,
            seen=self._seen,
        )
        command = [self._python, "-m", "services", "gateway", config]
        return Process(command, port, self.log, environment=clean_environment(PYTHONPATH=str(PROJECT)), directory=RUN)


class Direct(Server):
    """The mock upstream itself; it is running already."""


class Subject(NamedTuple):
    """One row of the tables."""

    name: str
    title: str
    server: Server
    dialect: Dialect  # the client's
    translates: bool = False
    path: str | None = None
    key: str = CLIENT_KEY
    model: str = "glm-4.6"
    headers: Mapping[str, str] = {}
    streams: bool = True
    passes_bytes: bool = False  # the body arrives as the upstream sent it
    large: bool = True
    lingers: float = 0.0  # seconds that it goes on working after its turn, on the core that the next one wants

    @property
    def where(self) -> str:
        """The path that is asked."""
        return self.path or PATHS[self.dialect]


def clean_environment(**more: str) -> dict[str, str]:
    """Return an environment without proxies or settings of ours."""
    dropped = ("ZCODE_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "OTEL_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)} | more


def yardsticks(mock: int) -> list[Subject]:
    """Return what the gateway is compared with."""
    return [
        Subject(
            "direct", "mock, asked directly", Direct("direct", mock), "anthropic", key=UPSTREAM_KEY, passes_bytes=True
        ),
        Subject("haproxy", "haproxy, 1 thread", Haproxy("haproxy", mock), "anthropic", passes_bytes=True),
        Subject("nginx", "nginx, 1 worker", Nginx("nginx", mock), "anthropic", passes_bytes=True),
        Subject("floor", "a relay in Python, bare", Floor("floor", mock), "anthropic", passes_bytes=True),
    ]


def gateways(mock: int, *, transports: tuple[str, ...], debian: Path | None) -> list[Subject]:
    """Return this gateway's variants."""
    subjects = []
    for transport in transports:
        mark = "" if transport == "pooled" else f"-{transport}"
        shown = "" if transport == "pooled" else f", {transport} transport"
        native = Gateway(f"native{mark}", mock, upstream_format="native", transport=transport)
        to_anthropic = Gateway(f"to-anthropic{mark}", mock, upstream_format="anthropic", transport=transport)
        to_openai = Gateway(f"to-openai{mark}", mock, upstream_format="openai", transport=transport)
        subjects += [
            Subject(
                f"gw-aa{mark}", f"gateway, Anthropic passed through{shown}", native, "anthropic", passes_bytes=True
            ),
            Subject(f"gw-oo{mark}", f"gateway, OpenAI passed through{shown}", native, "openai", passes_bytes=True),
            Subject(f"gw-oa{mark}", f"gateway, OpenAI to Anthropic{shown}", to_anthropic, "openai", translates=True),
            Subject(f"gw-ao{mark}", f"gateway, Anthropic to OpenAI{shown}", to_openai, "anthropic", translates=True),
        ]
    for mark, seen, shown in (
        ("quiet", QUIET, "nothing counted or logged"),
        ("traced", TRACED, "every request traced"),
    ):
        server = Gateway(f"native-{mark}", mock, upstream_format="native", seen=seen)
        title = f"gateway, Anthropic passed through, {shown}"
        lingers = _EXPORTED if seen is TRACED else 0.0
        subjects.append(Subject(f"gw-aa-{mark}", title, server, "anthropic", passes_bytes=True, lingers=lingers))
    if debian is not None:
        server = Gateway("native-debian", mock, upstream_format="native", python=debian)
        title = "gateway, Anthropic passed through, Debian's Python"
        subjects.append(Subject("gw-aa-debian", title, server, "anthropic", passes_bytes=True))
    return subjects
