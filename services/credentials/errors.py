"""
What can go wrong in the credentials service.

    CredentialsError        status and a stable code; the message is safe to show
    ├── KeyringInvalid      missing, short, repeated or wrong master key: exit 78, nothing written
    ├── Undecryptable       a record that no key opens, or that was tampered with: reported, never overwritten
    ├── LoginRequired       only a person can mend it
    ├── LoginFailed         this attempt to log in failed; the message says what to do
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


class NotFound(CredentialsError):
    status = 404
    code = ErrorCode.NOT_FOUND


class Conflict(CredentialsError):
    status = 409
    code = ErrorCode.CONFLICT
