"""`zcode-proxy quota`: with nobody serving it asks; while a gateway serves, both together ask once a minute."""

import json
from pathlib import Path

import httpx2

from tests.support.laptop import KEY, Laptop
from tests.support.simulator_process import simulator_process


def _asked(origin: str) -> int:
    requests = httpx2.get(f"{origin}/_simulator/requests").json()["requests"]
    return sum(request["path"] == "/api/monitor/usage/quota/limit" for request in requests)


def test_the_command_asks_once_and_reads_what_is_noted(tmp_path: Path) -> None:
    with simulator_process() as origin:
        httpx2.post(f"{origin}/_simulator/allowance", json={"five_hours": 50, "weekly": 95})
        laptop = Laptop(tmp_path, origin)
        shown = laptop.command("quota")
        assert "5 hours        ███████████████░░░░░░░░░░░░░░░  50.0% used" in shown
        with laptop.serving():
            (entry,) = json.loads(laptop.command("quota", "--json"))

        assert [0.5, 0.95, 0.04] == [window["used"] for window in entry["windows"]]
        assert 1 == _asked(origin)
        assert KEY.encode() not in b"".join(path.read_bytes() for path in laptop.store.iterdir())


def test_a_key_that_is_refused_is_said_to_be(tmp_path: Path) -> None:
    with simulator_process() as origin:
        httpx2.post(f"{origin}/_simulator/allowance", json={"status": 401})
        Laptop(tmp_path, origin).command("quota", code=1)
