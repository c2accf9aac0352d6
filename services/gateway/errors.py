"""
What can stop a request before its first byte has gone out.

    GatewayError            carries a Fault; `rescue` writes it in the client's dialect
    ├── BadRequest          the client's body or headers                      400 413 415 431
    ├── Unauthenticated     no key or a wrong one                             401
    ├── NotFound            route or model                                    404
    ├── Overloaded          our own limits: queue full, draining              429 503
    ├── CaptchaRequired     a person must complete a captcha; the message has the page     403
    ├── Misconfigured       the operator must act; the message names the setting
    ├── UpstreamRefused     the upstream answered with an error
    └── UpstreamUnreachable connect, timeout, broken answer                   502 503 504
"""

from services.gateway.translation.fault import Fault


class GatewayError(Exception):
    """A failure with everything the client needs to know; the rest is in `__cause__` and the log."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class BadRequest(GatewayError):
    pass


class Unauthenticated(GatewayError):
    pass


class NotFound(GatewayError):
    pass


class Overloaded(GatewayError):
    pass


class Misconfigured(GatewayError):
    pass


class CaptchaRequired(GatewayError):
    pass


class UpstreamRefused(GatewayError):
    pass


class UpstreamUnreachable(GatewayError):
    pass
