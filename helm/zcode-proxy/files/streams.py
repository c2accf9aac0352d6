"""
Checks that streamed answers come whole through the simulator, in both dialects. Exit 0: they do.

    python streams.py http://gateway:80 --key FILE      a release that has the simulator for its upstream
    python streams.py http://127.0.0.1:8080 --own FILE  start a simulator and a gateway with that configuration first
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ENDS = {"/v1/chat/completions": "data: [DONE]", "/v1/messages": "event: message_stop"}
STARTED_WITHIN = 60.0


def start(config: str) -> list[subprocess.Popen[bytes]]:
    """Start a simulator and a gateway in front of it, and wait for both."""
    command = [sys.executable, "-I", "-m", "services"]
    environ = os.environ | {"ZCODE_API_KEY": "helm-test.simulated"}
    processes = [
        subprocess.Popen([*command, "simulator", "--port", "8090"]),
        subprocess.Popen([*command, "gateway", config], env=environ),
    ]
    deadline = time.monotonic() + STARTED_WITHIN
    for address in ("http://127.0.0.1:8090/_simulator/health", "http://127.0.0.1:9090/readyz"):
        while True:
            try:
                urllib.request.urlopen(address, timeout=2).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
    return processes


def streams_whole(url: str, path: str, end: str, headers: dict[str, str]) -> bool:
    """Ask for a stream and say whether it came in several events, said that it is simulated, and ended properly."""
    body = {"model": "glm-5.2", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    events = text.count("\ndata: ")
    good = events > 3 and "simulated" in text and end in text
    print(f"{'ok ' if good else 'BAD'} {path}: {events} events", flush=True)
    return good


def main() -> int:
    """Return 0 when both dialects stream."""
    url, option, file = sys.argv[1:4]
    headers = {"content-type": "application/json"}
    processes = start(file) if option == "--own" else []
    if option == "--key":
        headers["authorization"] = f"Bearer {Path(file).read_text().strip()}"
    try:
        good = [streams_whole(url, path, end, headers) for path, end in ENDS.items()]
    finally:
        for process in processes:
            process.terminate()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
