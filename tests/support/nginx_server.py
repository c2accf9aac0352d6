"""
A real nginx in front of a port, on loopback, as whoever runs the test.

    with Nginx(directory, upstream_port) as edge:
        edge.port                         what clients talk to
        edge.forwarded()                  {request id: target} of what it passed on, once it is asked to write that down

It stamps each request that it passes on with an id of its own (`x-edge`, which no client can choose or know), and each
answer with the id of the request it belongs to. It keeps connections to the upstream and shares them between clients,
which is what smuggling lives on.
"""

import contextlib
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from tests.support.redis_server import free_port

_CONFIGURATION: Final = """
daemon off; worker_processes 1; pid {run}/nginx.pid; error_log {run}/error.log warn;
events {{ worker_connections 512; }}
http {{
  client_body_temp_path {run}/body; proxy_temp_path {run}/proxy;
  fastcgi_temp_path {run}/f; uwsgi_temp_path {run}/u; scgi_temp_path {run}/s;
  log_format passed '$request_id $request_uri';
  access_log off;
  {tolerance}
  large_client_header_buffers 8 64k; client_header_timeout 5s; client_body_timeout 5s; keepalive_timeout 1s;
  upstream gateway {{ server 127.0.0.1:{upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      access_log {run}/passed.log passed;
      proxy_http_version 1.1; proxy_request_buffering {buffering}; proxy_read_timeout 5s;
      proxy_set_header Connection ""; proxy_set_header Host $http_host; proxy_set_header X-Edge $request_id;
      add_header X-Edge $request_id always;
      proxy_pass http://gateway;
    }}
  }}
}}
"""

# What nginx repairs or drops by itself by default is passed on, so that more reaches what stands behind it.
_TOLERANT: Final = "underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;"


class Nginx:
    """Starts nginx and ends it; `tolerant` makes it pass on what it would drop."""

    def __init__(self, directory: Path, upstream: int, *, buffering: bool, tolerant: bool) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._configuration = directory / "nginx.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                run=directory,
                upstream=upstream,
                port=self.port,
                buffering="on" if buffering else "off",
                tolerance=_TOLERANT if tolerant else "",
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = ["nginx", "-p", str(self._directory), "-c", str(self._configuration)]
        with (self._directory / "out.log").open("wb") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            assert self._process.poll() is None, (self._directory / "out.log").read_text()
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    def forwarded(self) -> dict[str, str]:
        """Return the target of every request that it has passed on and that is over, by id."""
        lines = (self._directory / "passed.log").read_text(errors="surrogateescape").splitlines()
        return dict(line.split(" ", 1) for line in lines)
