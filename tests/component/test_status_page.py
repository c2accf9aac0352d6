"""The status page of a process that serves: events keep coming, pages are bounded, an end is not held up."""

import contextlib
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import msgspec

from services.gateway.status import View
from tests.support.laptop import KEY, Laptop
from tests.support.simulator_process import simulator_process

QUESTION = {"model": "glm-5.2", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}


def test_events_keep_coming_and_pages_are_bounded(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(simulator_process())
        laptop = Laptop(tmp_path, origin)
        pages: list[socket.socket] = []
        with laptop.serving() as served:
            assert 200 == httpx2.post(f"{served.url}/v1/messages", json=QUESTION).status_code
            views = _two_views(f"{served.admin_url}/status/events")
            assert views[0].at < views[1].at
            assert ("ready", "config", "ready") == (
                views[1].load.phase,
                views[1].credentials[0].id,
                views[1].credentials[0].state,
            )
            assert views[1].requests_per_second > 0
            assert KEY.encode() not in msgspec.json.encode(views)

            while len(pages) < 15:  # one more may still be counted, of the client that has just left
                pages.append(stack.enter_context(_open_page(served.admin_url)))
            while len(pages) < 16:
                with contextlib.suppress(AssertionError):
                    pages.append(stack.enter_context(_open_page(served.admin_url)))
            assert 503 == httpx2.get(f"{served.admin_url}/status/events").status_code
        # `serving` has seen the process end in order, although the pages were open.


def _two_views(url: str) -> list[View]:
    with httpx2.stream("GET", url) as answer:
        assert "text/event-stream" in answer.headers["content-type"]
        lines = (line.removeprefix("data: ") for line in answer.iter_lines() if line)
        return [msgspec.json.decode(next(lines), type=View) for _ in range(2)]


def _open_page(url: str) -> socket.socket:
    """Open the events and read their beginning, so that the page counts."""
    address = urlsplit(url)
    page = socket.create_connection((address.hostname, address.port), timeout=30)
    page.sendall(b"GET /status/events HTTP/1.1\r\nhost: x\r\n\r\n")
    seen = b""
    while b"data: " not in seen:
        part = page.recv(65536)
        seen += part
        assert b" 503 " not in seen[:16]
    return page
