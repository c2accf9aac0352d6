"""Errors as upstreams send them, in every shape, and the time at which tests read them."""

from datetime import datetime
from typing import Any

import msgspec

from services.gateway.translation.reset_time import CHINA

NOW = datetime(2026, 1, 28, 15, 0, tzinfo=CHINA).timestamp()


def encode(value: Any) -> bytes:
    """Return a body."""
    return msgspec.json.encode(value)


def shapes(code: int, text: str) -> dict[str, bytes]:
    """Return every shape in which upstreams send a code."""
    return {
        "string code": encode({"error": {"code": str(code), "message": text}, "request_id": "r"}),
        "number code": encode({"error": {"code": code, "message": text}}),
        "float code": encode({"error": {"code": float(code), "message": text}}),
        "anthropic": encode({"type": "error", "error": {"type": "api_error", "code": str(code), "message": text}}),
        "code in type": encode({"error": {"message": text, "type": str(code)}}),
        "prefix": encode({"type": "error", "error": {"type": "api_error", "message": f"[{code}][{text}][2026]"}}),
        "bare prefix": encode({"error": f"[{code}] {text}"}),
        "gateway": encode({"code": code, "msg": text}),
        "gateway with a string": encode({"code": str(code), "msg": text, "success": False}),
        "status beside it": encode({"code": 500, "error": {"code": str(code), "message": text}}),
    }
