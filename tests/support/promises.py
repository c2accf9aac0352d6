"""What a promise's test has shown, as one JSON line: `make soak` prints them, docs/promises.md quotes them."""

import json
from typing import Any


def show(promise: str, n: int, failures: int, **extremes: Any) -> None:
    """Print the line; `n` is how often it was tried."""
    print(json.dumps({"promise": promise, "n": n, "failures": failures, **extremes}))
