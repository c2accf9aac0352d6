"""What one check of `doctor` found."""

from enum import Enum

import msgspec


class Status(Enum):
    """How it stands."""

    GOOD = "pass"
    WARN = "warn"  # works, or may not; worth knowing
    FAIL = "fail"  # will not work
    SKIP = "skip"  # not looked at, and why


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; `advice` says what to do next."""

    check: str
    status: Status
    message: str
    advice: str | None = None


def passed(check: str, message: str) -> Finding:
    return Finding(check=check, status=Status.GOOD, message=message)


def warned(check: str, message: str, advice: str | None = None) -> Finding:
    return Finding(check=check, status=Status.WARN, message=message, advice=advice)


def failed(check: str, message: str, advice: str | None = None) -> Finding:
    return Finding(check=check, status=Status.FAIL, message=message, advice=advice)


def skipped(check: str, message: str) -> Finding:
    return Finding(check=check, status=Status.SKIP, message=message)
