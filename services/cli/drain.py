"""`zcode-proxy drain`: what a pod runs before it is told to end, so that no request is lost on the way."""

import http.client
import time
from typing import Annotated, Final

import typer

from services.cli.exits import Exit
from services.cli.output import complain

_HOST: Final = "127.0.0.1"
_PATIENCE: Final = 5.0  # seconds for the process to take note


def drain(
    *,
    port: Annotated[int, typer.Option("--port", "-p", min=1, max=65535, help="The process's admin port.")] = 9090,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait afterwards.")] = 0.0,
) -> None:
    """
    Tell the gateway on this machine that it is about to end: it serves on, and sends clients elsewhere.

    Readiness says no, and every answer closes its connection. The wait gives load balancers the time to learn of it;
    it is kept even when the process does not answer. Made for a preStop step:

    \b
      zcode-proxy drain --wait 10
    """
    heard = _told(port)
    time.sleep(wait)
    if not heard:
        complain(f"no process took note at {_HOST}:{port} (server.adminPort)")
        raise typer.Exit(Exit.UNAVAILABLE)


def _told(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_PATIENCE)
    try:
        connection.request("POST", "/drain")
        return connection.getresponse().status == 202
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
