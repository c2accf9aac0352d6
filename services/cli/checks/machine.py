"""This machine: are the ports free, are there enough file descriptors, which proxy variables are in force?"""

import resource
import socket
from collections.abc import Iterator, Mapping
from typing import Final

from services.cli.checks.finding import Finding, passed, warned
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import LOOPBACK, bind_host

_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_HEARD: Final = ("HTTPS_PROXY", "https_proxy")


def check_machine(settings: GatewaySettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at this machine without changing anything."""
    yield check_port(bind_host(settings), settings.server.port, "server.port")
    yield check_port(settings.server.admin_host or LOOPBACK, settings.server.admin_port, "server.adminPort")
    yield from check_proxy_variables(settings, environ)
    yield check_descriptors(resource.getrlimit(resource.RLIMIT_NOFILE)[1], settings)


def check_port(host: str, port: int, setting: str) -> Finding:
    """Say whether a port can be listened on, by trying."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            words = (error.strerror or "not available").lower()
            advice = f"a running zcode-proxy? Else choose another with {setting}"
            return warned("port", f"{host}:{port} ({setting}): {words}", advice)
    return passed("port", f"{host}:{port} ({setting}) is free")


def check_proxy_variables(settings: GatewaySettings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Say what the environment's proxy variables do here, and what they do not."""
    present = [name for name in _PROXY_VARIABLES if environ.get(name)]
    unheard = [name for name in present if name not in _HEARD]
    if settings.upstream.proxy is not None:
        yield passed("proxy", "upstream calls go through a proxy, on the httpx transport; NO_PROXY is honoured")
    elif unheard:
        yield warned(
            "proxy",
            f"{', '.join(unheard)} is set but not used: upstreams are reached directly",
            "set ZCODE_UPSTREAM_PROXY or HTTPS_PROXY if they need the proxy",
        )
    else:
        yield passed("proxy", "none: upstreams are reached directly")


def check_descriptors(limit: int, settings: GatewaySettings) -> Finding:
    """
    Compare the hard limit of open files with what a full house needs: a descriptor per client and per upstream call.

    The soft limit does not matter, because a starting process raises its own.
    """
    needed = settings.limits.connections + settings.limits.upstream_connections + 64
    if limit in (resource.RLIM_INFINITY, -1) or limit >= needed:
        return passed("open files", f"the limit is {limit}")
    return warned("open files", f"the hard limit is {limit}; a full house needs {needed}", "raise it (ulimit -Hn)")
