"""Headers become lines, and nothing in them becomes a line of its own."""

import pytest

from services.chassis.header_lines import header_lines


def test_each_header_is_a_line() -> None:
    assert header_lines([(b"a", b"1"), (b"b", b"two\twords")]) == b"a: 1\r\nb: two\twords\r\n"
    assert header_lines([]) == b""


@pytest.mark.parametrize("control", [*({*range(0x20), 0x7F} - {0x09})])
@pytest.mark.parametrize("place", [0, 1])
def test_a_control_character_is_refused_wherever_it_stands(control: int, place: int) -> None:
    pair = [b"name", b"value"]
    pair[place] += bytes([control]) + b"x: y"

    with pytest.raises(ValueError, match="control character"):
        header_lines([(b"a", b"1"), (pair[0], pair[1])])
