"""
Is this the callback of the pending login? Pure.

    what comes                                       status
    not GET                                          405
    Host other than ours, or none, or two            403
    a fetch, frame or script (Sec-Fetch-*)           403
    another path                                     404
    a wrong, missing or repeated state               400
    the right state, but no code or two codes        400
    another issuer (RFC 9207)                        400
    the right state and a code                       200, once

Everything but the last leaves the login pending: a stray request, or one sent to annoy, must not end it. Nothing of a
request is ever repeated in an answer, and no answer redirects.
"""

import hmac
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from services.chassis.secret import Secret
from services.credentials.oauth.steps import Expected
from services.credentials.oauth.vendors import APP_CALLBACK

_CODES: Final = ("authCode", "code")
_LONGEST_CODE: Final = 4096
_FIELDS: Final = 32


class Accepted(msgspec.Struct, frozen=True):
    """The code. Does not print."""

    code: Secret


class Rejected(msgspec.Struct, frozen=True):
    """Why not, as an HTTP status and in words of ours."""

    status: int
    why: str


class CallbackRequest(msgspec.Struct, frozen=True):
    """A request to the loopback listener; header names in lower case."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]

    def values(self, name: str) -> list[str]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]


def judge(request: CallbackRequest, expected: Expected) -> Accepted | Rejected:
    """Decide about a request to the loopback listener."""
    if request.method != "GET":
        return Rejected(405, "use GET")
    wanted = urlsplit(expected.address)
    if request.values("host") != [wanted.netloc]:
        return Rejected(403, "not addressed to this listener")
    if not _is_navigation(request):
        return Rejected(403, "not opened as a page")
    path, _, query = request.target.partition("?")
    if path != wanted.path:
        return Rejected(404, "nothing is here")
    return _judge_query(query, expected)


def judge_pasted(line: str, expected: Expected) -> Accepted | Rejected:
    """
    Decide about an address that a person pasted; it is parsed and never fetched.

    It may be the redirect address, or the one that the provider's own page leads on to.
    """
    try:
        parts = urlsplit(line.strip())
    except ValueError:
        return Rejected(400, "this is not an address")
    if f"{parts.scheme}://{parts.netloc}{parts.path}" not in (expected.address, APP_CALLBACK):
        return Rejected(404, "this is not the address at which the login ends")
    return _judge_query(parts.query, expected)


def _judge_query(query: str, expected: Expected) -> Accepted | Rejected:
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=_FIELDS, errors="strict")
    except ValueError:
        return Rejected(400, "the address cannot be read")
    states = fields.get("state", [])
    if len(states) != 1 or not hmac.compare_digest(states[0].encode(), expected.state.reveal().encode()):
        return Rejected(400, "this does not belong to the login that is pending")
    if any(_origin(issuer) != expected.issuer for issuer in fields.get("iss", [])):
        return Rejected(400, "this comes from another provider")
    codes = {code for name in _CODES for code in fields.get(name, []) if code}
    if len(codes) != 1:
        return Rejected(400, "it carries no code" if not codes else "it carries more than one code")
    code = codes.pop()
    if len(code) > _LONGEST_CODE or not code.isascii() or not code.isprintable():
        return Rejected(400, "the code cannot be read")
    return Accepted(Secret(code))


def _is_navigation(request: CallbackRequest) -> bool:
    """Say whether a browser opens this as a page; browsers that do not say (older ones) pass."""
    modes, destinations = request.values("sec-fetch-mode"), request.values("sec-fetch-dest")
    return modes in ([], ["navigate"]) and destinations in ([], ["document"])


def _origin(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
