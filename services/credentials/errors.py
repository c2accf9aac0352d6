"""
What can go wrong in the credentials service.

    CredentialsError        status and a stable code; the message is safe to show
    ├── KeyringInvalid      missing, short, repeated or wrong master key: exit 78, nothing written
    ├── Undecryptable       a record that no key opens, or that was tampered with: reported, never overwritten
    ├── LoginRequired       only a person can mend it
    ├── LoginFailed         this attempt to log in failed; the message says what to do
    ├── NotAuthenticated    a call from a process that cannot prove itself, or a call seen before
    ├── Unavailable         the service or its store does not answer; what was asked may or may not have happened
    ├── NotFound
    └── Conflict            somebody was faster
"""

from services.credentials.contract import ErrorCode


class CredentialsError(Exception):
    """Base of the tree."""

    status = 500
    code = ErrorCode.INVALID


class KeyringInvalid(CredentialsError):
    pass


class Undecryptable(CredentialsError):
    pass


class LoginRequired(CredentialsError):
    status = 409
    code = ErrorCode.LOGIN_REQUIRED


class LoginFailed(CredentialsError):
    status = 400


class NotAuthenticated(CredentialsError):
    status = 401
    code = ErrorCode.NOT_AUTHENTICATED


class Replayed(NotAuthenticated):
    code = ErrorCode.REPLAYED


class Unavailable(CredentialsError):
    status = 503
    code = ErrorCode.STORE_UNAVAILABLE


class NotFound(CredentialsError):
    status = 404
    code = ErrorCode.NOT_FOUND


class Conflict(CredentialsError):
    status = 409
    code = ErrorCode.CONFLICT
