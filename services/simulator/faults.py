"""Every error the upstream is known to answer (upstream.md section 7), and the shapes it puts them in. Pure."""

import types
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import msgspec

from services.simulator.script import ErrorForm
from services.simulator.wire import Wire


class UpstreamError(msgspec.Struct, frozen=True):
    """One code: the HTTP status it comes with and a text of the same sense as the real one."""

    status: int
    message: str


_RESET: Final = " Your limit will reset at {reset}"
_LIMIT_ZH: Final = "\u7684\u4f7f\u7528\u4e0a\u9650\u3002\u60a8\u7684\u9650\u989d\u5c06\u5728 {reset} \u91cd\u7f6e\u3002"

ERRORS: Final = types.MappingProxyType(
    {
        "1000": UpstreamError(401, "Authentication failed"),
        "1001": UpstreamError(401, "The request carries no valid credential"),
        "1002": UpstreamError(401, "The credential is invalid, check it and try again"),
        "1003": UpstreamError(401, "The credential has expired, obtain a new one"),
        "1004": UpstreamError(401, "The given credential did not pass verification"),
        "1005": UpstreamError(401, "The credential has been revoked"),
        "1110": UpstreamError(403, "The account is not active"),
        "1111": UpstreamError(403, "The account does not exist"),
        "1112": UpstreamError(403, "The account is locked"),
        "1113": UpstreamError(429, "The account is in arrears or has no resource package"),
        "1120": UpstreamError(403, "The account cannot be accessed at the moment"),
        "1121": UpstreamError(403, "The account was locked for breaches of the rules"),
        "1200": UpstreamError(500, "The call failed"),
        "1210": UpstreamError(400, "The parameters of the call are wrong"),
        "1211": UpstreamError(400, "The model does not exist, check its code"),
        "1212": UpstreamError(400, "The model does not support this way of calling"),
        "1213": UpstreamError(400, "A required parameter was not received"),
        "1214": UpstreamError(400, "A parameter has an invalid value"),
        "1215": UpstreamError(400, "Two parameters exclude each other"),
        "1220": UpstreamError(403, "No permission to access this API"),
        "1221": UpstreamError(404, "This API has been taken offline"),
        "1222": UpstreamError(404, "This API does not exist"),
        "1230": UpstreamError(500, "The call went wrong on its way"),
        "1234": UpstreamError(500, "Network error, try again later"),
        "1261": UpstreamError(400, "The prompt is longer than the model's context"),
        "1300": UpstreamError(400, "The call was blocked by a policy"),
        "1301": UpstreamError(400, "The content may be unsafe or sensitive"),
        "1302": UpstreamError(429, "Your concurrency is too high"),
        "1303": UpstreamError(429, "Your call frequency is too high"),
        "1304": UpstreamError(429, "The daily call limit is reached"),
        "1305": UpstreamError(429, "The model is overloaded, try again later"),
        "1308": UpstreamError(429, "Usage limit reached for 5 hours." + _RESET),
        "1309": UpstreamError(429, "The plan has expired"),
        "1310": UpstreamError(429, "Weekly limit exhausted." + _RESET),
        "1311": UpstreamError(429, "The plan does not include this model"),
        "1312": UpstreamError(429, "The model is under heavy load at the moment"),
        "1313": UpstreamError(429, "The account's use is not in line with the fair use policy"),
        "1314": UpstreamError(429, "The plan is no longer valid"),
        "1315": UpstreamError(429, "The account is restricted for fair use"),
        "1316": UpstreamError(429, "Usage limit reached for 1 hour." + _RESET),
        "1317": UpstreamError(429, "Usage limit reached for 1 day." + _RESET),
        "1318": UpstreamError(429, "Usage limit reached for 1 week." + _RESET),
        "1319": UpstreamError(429, "Usage limit reached for 1 month." + _RESET),
        "1320": UpstreamError(429, "\u5df2\u8fbe\u5230 5 \u5c0f\u65f6" + _LIMIT_ZH),
        "1321": UpstreamError(429, "\u5df2\u8fbe\u5230\u6bcf\u5468" + _LIMIT_ZH),
        "3007": UpstreamError(400, "captcha verification required"),
        "3012": UpstreamError(405, "method not allowed"),
        "500": UpstreamError(500, "Internal server error"),
        "502": UpstreamError(502, "Bad gateway"),
        "503": UpstreamError(503, "Service unavailable"),
        "504": UpstreamError(504, "Gateway timeout"),
        "529": UpstreamError(529, "Overloaded"),
    }
)

_ANTHROPIC_TYPES: Final = types.MappingProxyType(
    {
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
)

# The upstream names reset times in its own local time.
_CHINA: Final = timezone(timedelta(hours=8))


def look_up(code: str) -> UpstreamError:
    """Return the error of a code; an unknown one below 1000 is taken for an HTTP status, any other comes as a 400."""
    known = ERRORS.get(code)
    if known is not None:
        return known
    status = int(code) if code.isdecimal() and 400 <= int(code) < 600 else 400
    return UpstreamError(status, f"Error {code}")


def message_of(error: UpstreamError, now: float, reset: float) -> str:
    """Return the text, with the reset time `reset` seconds after `now` (Unix time) where it names one."""
    moment = datetime.fromtimestamp(now + reset, UTC).astimezone(_CHINA)
    return error.message.replace("{reset}", moment.strftime("%Y-%m-%d %H:%M:%S"))


def body(form: ErrorForm, wire: Wire, code: str, status: int, message: str, request_id: str) -> bytes:
    """Return the JSON of an error in one of the shapes the upstream uses."""
    if form == "default":
        form = "openai" if wire is Wire.OPENAI else "detail" if code == "422" else "anthropic"
    if form == "detail":  # of the framework that checks bodies before the upstream's own code sees them
        return msgspec.json.encode({"detail": [{"type": "literal_error", "loc": ["body", "messages"], "msg": message}]})
    return b"" if form == "empty" else msgspec.json.encode(_shape(form, code, status, message, request_id))


def _shape(form: ErrorForm, code: str, status: int, message: str, request_id: str) -> dict[str, object]:
    kind = _ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    number: object = int(code) if code.isdecimal() else code
    marked = f"[{code}][{message}]"
    match form:
        case "gateway":
            return {"code": number, "msg": message}
        case "typed":
            return {"error": {"message": message, "type": code}, "request_id": request_id}
        case "number":
            return {"error": {"code": number, "message": message}, "request_id": request_id}
        case "prefix":
            return {"type": "error", "error": {"type": kind, "message": marked}, "request_id": request_id}
        case "anthropic":
            error = {"type": kind, "code": code, "message": marked}
            return {"type": "error", "error": error, "request_id": request_id}
        case _:
            return {"error": {"code": code, "message": message}, "request_id": request_id}
