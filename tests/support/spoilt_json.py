"""
Spoils JSON requests in every way that clients and attackers have found: syntax, characters, types, depth and size.

    spoiler = Spoiler(seed)
    body = spoiler.spoilt(request)         the same seed gives the same bodies, in order
"""

import copy
import json
import random
from collections.abc import Callable
from typing import Any

_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**400,
    -(10**30),
    "",
    "x",
    "\ud800",
    "\x00\x1f\x7f",
    "\u202e\ufeff\ufffe",
    "a" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"type": None},
    {"type": "text"},
    {"type": "no_such_type"},
    "text",
    "tool_use",
    "user",
    "system",
]
_RAW: list[bytes] = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"0x1",
    b"01",
    b"1.",
    b".5",
    b"'x'",
    b"undefined",
    b"//",
]
_BYTES: list[bytes] = [
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\x00",
    b"\\ud800",
    b"\\u",
    b'"',
    b"{",
    b"]",
    b",",
    b"\\",
]
_MARK = "@@spoilt@@"


class Spoiler:
    """One seeded source of spoilt requests."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._ways: list[Callable[[dict[str, Any]], bytes]] = [
            self._another_value,
            self._another_value,
            self._another_value,
            self._two_other_values,
            self._a_member_less,
            self._a_member_twice,
            self._raw_value,
            self._bad_bytes,
            self._bad_bytes,
            self._cut,
            self._flipped,
            self._swapped,
            self._deep,
            self._another_shape,
        ]

    def spoilt(self, request: dict[str, Any]) -> bytes:
        """Return the request with something wrong."""
        return self._chance.choice(self._ways)(copy.deepcopy(request))

    def crowded(self, request: dict[str, Any], messages: int) -> bytes:
        """Return the request with so many messages, or items; large, so made now and then only."""
        body = dict(request)
        body["messages" if "messages" in request else "input"] = _MARK
        one = b'{"role":"user","content":"x"}'
        return _encoded(body).replace(f'"{_MARK}"'.encode(), b"[" + b",".join([one] * messages) + b"]")

    def _place(self, node: Any) -> tuple[Any, Any]:
        """Return a container somewhere in the request and a key or index of it."""
        place: tuple[Any, Any] | None = None
        while isinstance(node, dict | list) and node:
            key = self._chance.choice(list(node)) if isinstance(node, dict) else self._chance.randrange(len(node))
            place = (node, key)
            if self._chance.random() < 0.25:
                break
            node = node[key]
        assert place is not None
        return place

    def _another_value(self, body: dict[str, Any]) -> bytes:
        node, key = self._place(body)
        node[key] = copy.deepcopy(self._chance.choice(_VALUES))
        return _encoded(body)

    def _two_other_values(self, body: dict[str, Any]) -> bytes:
        self._another_value(body)
        return self._another_value(body)

    def _a_member_less(self, body: dict[str, Any]) -> bytes:
        node, key = self._place(body)
        del node[key]
        return _encoded(body)

    def _a_member_twice(self, body: dict[str, Any]) -> bytes:
        node, key = self._place(body)
        if isinstance(node, list):
            node.insert(key, copy.deepcopy(node[key]))
            return _encoded(body)
        other = json.dumps(self._chance.choice(_VALUES)).encode()
        name = json.dumps(key).encode()
        node[_MARK] = 0
        return _encoded(body).replace(f'"{_MARK}": 0'.encode(), name + b": " + other)

    def _raw_value(self, body: dict[str, Any]) -> bytes:
        node, key = self._place(body)
        node[key] = _MARK
        return _encoded(body).replace(f'"{_MARK}"'.encode(), self._chance.choice(_RAW))

    def _bad_bytes(self, body: dict[str, Any]) -> bytes:
        data = _encoded(body)
        at = self._chance.randrange(len(data))
        return data[:at] + self._chance.choice(_BYTES) + data[at:]

    def _cut(self, body: dict[str, Any]) -> bytes:
        data = _encoded(body)
        return data[: self._chance.randrange(len(data))]

    def _flipped(self, body: dict[str, Any]) -> bytes:
        data = bytearray(_encoded(body))
        for _ in range(self._chance.randrange(1, 8)):
            data[self._chance.randrange(len(data))] = self._chance.randrange(256)
        return bytes(data)

    def _swapped(self, body: dict[str, Any]) -> bytes:
        first, second = self._place(body), self._place(body)
        taken, given = copy.deepcopy(first[0][first[1]]), copy.deepcopy(second[0][second[1]])
        first[0][first[1]] = given
        if second[1] in (second[0] if isinstance(second[0], dict) else range(len(second[0]))):
            second[0][second[1]] = taken
        return _encoded(body)

    def _deep(self, body: dict[str, Any]) -> bytes:
        node, key = self._place(body)
        node[key] = _MARK
        depth = self._chance.choice((30, 63, 64, 65, 500, 10_000))
        opened, closed = self._chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"type":"text","content":', b"}]")))
        deep = opened * depth + b"1" + closed * (depth if self._chance.random() < 0.8 else depth // 2)
        return _encoded(body).replace(f'"{_MARK}"'.encode(), deep)

    def _another_shape(self, body: dict[str, Any]) -> bytes:
        return self._chance.choice(
            [
                b"",
                b" ",
                b"null",
                b"[]",
                b'"x"',
                b"1",
                b"{}",
                b"\xef\xbb\xbf" + _encoded(body),
                b"[" + _encoded(body) + b"]",
            ]
        )


def _encoded(body: Any) -> bytes:
    return json.dumps(body).encode()
