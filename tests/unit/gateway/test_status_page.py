"""The page loads nothing from anywhere, runs nothing but its own script, and is told what goes on."""

import re
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.health import Health
from services.gateway.admin import create_admin
from services.gateway.quota import Board
from services.gateway.status import Load, Sources, Status, View
from services.gateway.status_page import HEADERS, status_routes
from tests.support.asgi_end import AsgiEnd

PAGE = (Path(__file__).parents[3] / "services" / "gateway" / "status_page.html").read_text()


def _status() -> Status:
    load = Load(phase="ready", streams=0, in_flight=0, waiting=0, slots=1)
    sources = Sources(version="1", simulated=False, load=lambda: load, board=Board, credentials=tuple)
    return Status(sources)


async def _get(path: str) -> AsgiEnd:
    end = AsgiEnd("GET", path)
    app = create_admin(Health(), CollectorRegistry(), more=status_routes(_status()))
    await app(end.scope, end.receive, end.send)  # type: ignore[arg-type]  # the scope is one of ASGI's
    return end


async def test_the_page_is_one_file_under_a_strict_policy() -> None:
    end = await _get("/status")

    assert (200, PAGE.encode()) == (end.status, end.body)
    policy = end.header("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "no-store" == end.header("cache-control")


def test_the_page_names_no_other_host_and_makes_no_markup_of_texts() -> None:
    assert {"http://www.w3.org/2000/svg"} == set(re.findall(r"https?://[^\s\"'<]+", PAGE))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=|style=\"", PAGE)
    assert 2 == HEADERS["content-security-policy"].count("sha256-")


async def test_the_same_is_to_be_had_once_as_json() -> None:
    end = await _get("/status.json")

    assert "ready" == msgspec.json.decode(end.body, type=View).load.phase


async def test_without_a_status_there_is_no_page() -> None:
    end = AsgiEnd("GET", "/status")
    await create_admin(Health(), CollectorRegistry())(end.scope, end.receive, end.send)  # type: ignore[arg-type]  # as above

    assert 404 == end.status
