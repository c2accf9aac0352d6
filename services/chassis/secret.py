"""A value that does not print."""

import hmac
from typing import Final, NoReturn

_MASK: Final = "**********"


class Secret:
    """
    A string that must never reach a log, trace, metric, error or dump.

    `reveal()` is the only way out, so that every use of a secret can be found by searching for that word.
    Comparison is constant time. Pickling is refused.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the plain value; call it as late as possible, where it goes on the wire."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({_MASK!r})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised")
