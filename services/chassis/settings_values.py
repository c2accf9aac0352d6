"""
From one scalar's text to one value, and the words for what is wrong with it.

Messages are for the person who wrote the text. Those about secrets never repeat it; others repeat a short beginning.
Pure.
"""

import math
from difflib import get_close_matches
from typing import Final

from msgspec import inspect

from services.chassis.secret import Secret

_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
_SHOWN: Final = 24  # characters of a wrong value that a message repeats


def expected(kind: inspect.Type) -> str:
    match kind:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number"
        case inspect.FloatType():
            return "a number"
        case inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in kind.values)}"
        case inspect.EnumType():
            return f"one of {', '.join(str(member.value) for member in kind.cls)}"
        case _:
            return "text"


def parse(kind: inspect.Type, text: str) -> object:
    """Turn a scalar's text into a value; the ValueError's message is for the person who wrote it."""
    match kind:
        case inspect.BoolType() if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        case inspect.IntType() | inspect.FloatType():
            return _number(kind, text)
        case inspect.LiteralType() if text in kind.values:
            return text
        case inspect.EnumType() if text in {member.value for member in kind.cls}:
            return kind.cls(text)
        case inspect.CustomType() if kind.cls is Secret:
            return printable(text)
        case inspect.StrType() if text:
            return text
        case inspect.StrType():
            raise ValueError("must not be empty")
        case inspect.LiteralType():
            hint = did_you_mean(text, [str(value) for value in kind.values])
            raise ValueError(f"must be {expected(kind)}, not {_shown(text)}{'; ' if hint else ''}{hint}")
        case _:
            raise ValueError(f"must be {expected(kind)}, not {_shown(text)}")


def _number(kind: inspect.IntType | inspect.FloatType, text: str) -> int | float:
    try:
        value = int(text, 10) if isinstance(kind, inspect.IntType) else float(text)
    except ValueError:
        raise ValueError(f"must be {expected(kind)}, not {_shown(text)}") from None
    bounds = [
        (kind.ge, "at least", kind.ge is None or value >= kind.ge),
        (kind.gt, "more than", kind.gt is None or value > kind.gt),
        (kind.le, "at most", kind.le is None or value <= kind.le),
        (kind.lt, "less than", kind.lt is None or value < kind.lt),
    ]
    if (isinstance(value, float) and not math.isfinite(value)) or not all(holds for _, _, holds in bounds):
        rule = " and ".join(f"{words} {bound}" for bound, words, _ in bounds if bound is not None)
        raise ValueError(f"must be {rule or 'finite'}, not {_shown(text)}")
    return value


def printable(text: str) -> Secret:
    """Strip the line end that editors add; anything else unprintable would break a header."""
    stripped = text.strip()
    if any(not "!" <= character <= "~" for character in stripped):
        raise ValueError("holds white space or a character outside ASCII; is it one key and nothing else?")
    return Secret(stripped)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[: _SHOWN // 3]}…")


def did_you_mean(word: str, known: list[str]) -> str:
    """Return `did you mean x?` when a known word is close, whatever its case and separators; else nothing."""
    plain = {_plain(name): name for name in reversed(known)}
    close = get_close_matches(_plain(word), list(plain), n=1, cutoff=0.7)
    return f"did you mean {plain[close[0]]}?" if close else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
