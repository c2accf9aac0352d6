"""
A stand-in for the provider's captcha: its configuration, and the widget that a page loads.

The widget (`captcha_widget.js`) has the face of the real one and asks nothing that tells people from machines: a click,
and for the puzzle a slider that must be moved. How it behaves is one JSON object, `GET` and `POST /_simulator/captcha`.
"""

import asyncio
import secrets
from http import HTTPStatus
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs

import msgspec

from services.simulator.connection import Connection, Handler
from services.simulator.control import PREFIX, json_answer
from services.simulator.records import Request

CONFIGS_PATH: Final = "/api/v1/client/configs"
WIDGET_PATH: Final = "/captcha-widget/AliyunCaptcha.js"
VERIFY_PATH: Final = "/captcha-widget/verify"

_CONTROL: Final = f"{PREFIX}captcha"
_SCRIPT: Final = (Path(__file__).parent / "captcha_widget.js").read_text(encoding="utf-8")
_PARAM_BYTES: Final = 210  # makes 280 characters, as the real ones have
_FOREVER: Final = 3600.0  # seconds


class CaptchaBehaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider says and does; `POST /_simulator/captcha` changes the fields it names."""

    enabled: bool = True
    skip_model_request: bool = False
    prefix: str = "simulated"
    region: str = "sgp"
    scene_id: str = "simulated-scene"
    version: str = ""  # the only app_version that is known; empty: any. Others get code 3001, a bare call never does
    configs: Literal["ok", "down", "html"] = "ok"
    widget: Literal["pass", "puzzle", "F001", "F008", "F014", "F019", "error"] = "pass"
    load: Literal["ok", "slow", "fail", "hang", "empty", "eval", "elsewhere"] = "ok"
    load_seconds: float = 1.0  # of `slow`


class CaptchaArea:
    """Answers the captcha's paths. `behaviour` may be set by tests in process; `issued` are tokens given out."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Behave well, and forget the tokens."""
        self.behaviour = CaptchaBehaviour()
        self.issued: list[str] = []
        self.configs_asked = 0

    def change(self, fields: object) -> None:
        """Change the behaviour. Raises msgspec.ValidationError."""
        given = msgspec.convert(fields, dict[str, object])
        self.behaviour = msgspec.convert(msgspec.to_builtins(self.behaviour) | given, CaptchaBehaviour)

    def routes(self) -> dict[str, Handler]:
        """Return the handler of each path."""
        return {
            CONFIGS_PATH: self._configs,
            WIDGET_PATH: self._widget,
            VERIFY_PATH: self._verify,
            _CONTROL: self._control,
        }

    async def _configs(self, request: Request, link: Connection) -> bool:
        self.configs_asked += 1
        behaviour = self.behaviour
        asked = parse_qs(request.target.partition(b"?")[2].decode("latin-1")).get("app_version", [""])[0]
        body: object
        status = 200
        if behaviour.configs == "down":
            status, body = 503, {"code": 500, "msg": "unavailable"}
        elif behaviour.version and asked and asked != behaviour.version:
            body = {"code": 3001, "msg": "app version not supported"}
        else:
            captcha = {
                "enabled": behaviour.enabled,
                "prefix": behaviour.prefix,
                "region": behaviour.region,
                "sceneId": behaviour.scene_id,
                "skip_model_request": behaviour.skip_model_request,
            }
            body = {"code": 0, "msg": "", "data": {"configs": {"captcha": captcha}}}
        if behaviour.configs == "html":
            return await _send(link, request, 200, b"<html>a page of a CDN</html>", "text/html")
        link.write(json_answer(status, body, keep_alive=request.keep_alive))
        await link.drain()
        return request.keep_alive

    async def _widget(self, request: Request, link: Connection) -> bool:
        behaviour = self.behaviour
        if behaviour.load in ("slow", "hang"):
            await asyncio.sleep(behaviour.load_seconds if behaviour.load == "slow" else _FOREVER)
        if behaviour.load == "fail":
            return await _send(link, request, 503, b"", "text/plain")
        script = _SCRIPT.replace("{behaviour}", behaviour.widget).replace("{load}", behaviour.load)
        return await _send(link, request, 200, b"" if behaviour.load == "empty" else script.encode(), "text/javascript")

    async def _verify(self, request: Request, link: Connection) -> bool:
        param = secrets.token_urlsafe(_PARAM_BYTES)
        self.issued.append(param)
        return await _send(link, request, 200, msgspec.json.encode({"param": param}), "application/json")

    async def _control(self, request: Request, link: Connection) -> bool:
        status = 200
        body: object = self.behaviour
        if request.method == "POST":
            try:
                self.change(msgspec.json.decode(request.body))
                body = self.behaviour
            except msgspec.DecodeError as error:
                status, body = 400, {"error": str(error)}
        link.write(json_answer(status, body, keep_alive=request.keep_alive))
        await link.drain()
        return request.keep_alive


async def _send(link: Connection, request: Request, status: int, body: bytes, kind: str) -> bool:
    """Answer so that a page of any origin may use it, as the real widget's hosts do."""
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"content-type: {kind}; charset=utf-8",
        f"content-length: {len(body)}",
        "access-control-allow-origin: *",
        "access-control-allow-headers: content-type",
        "cross-origin-resource-policy: cross-origin",
        "cache-control: no-store",
        f"connection: {'keep-alive' if request.keep_alive else 'close'}",
        "",
        "",
    )
    link.write("\r\n".join(lines).encode() + body)
    await link.drain()
    return request.keep_alive
