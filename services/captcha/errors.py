"""
What can go wrong in the captcha service.

    CaptchaError          status and a stable code; the message is safe to show to the client's user
    ├── JwtInvalid        start_plan_jwt_invalid: somebody must log in
    ├── CaptchaRequired   captcha_required, with the address of the page where the owner can complete one
    ├── QueueFull         captcha_queue_full
    ├── Unavailable       captcha_unavailable: the service or its store does not answer
    ├── NotAuthenticated  a call from a process that cannot prove itself
    │   └── Replayed      a call that was made before
    └── Invalid           not a call of this service
"""

from services.captcha.contract import ErrorCode


class CaptchaError(Exception):
    """Base of the tree."""

    status = 500
    code = ErrorCode.INVALID
    page: str | None = None  # where a person can do something about it


class JwtInvalid(CaptchaError):
    status = 401
    code = ErrorCode.START_PLAN_JWT_INVALID


class CaptchaRequired(CaptchaError):
    status = 403
    code = ErrorCode.CAPTCHA_REQUIRED

    def __init__(self, message: str, *, page: str | None = None) -> None:
        super().__init__(message)
        self.page = page


class QueueFull(CaptchaError):
    status = 503
    code = ErrorCode.CAPTCHA_QUEUE_FULL


class Unavailable(CaptchaError):
    status = 503
    code = ErrorCode.CAPTCHA_UNAVAILABLE


class NotAuthenticated(CaptchaError):
    status = 401
    code = ErrorCode.NOT_AUTHENTICATED


class Replayed(NotAuthenticated):
    code = ErrorCode.REPLAYED


class Invalid(CaptchaError):
    status = 400
