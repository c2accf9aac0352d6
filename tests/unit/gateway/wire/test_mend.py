import msgspec
import pytest

from services.gateway.wire.mend import BROKEN, mended


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"a\ud83d"', "a�"),
        (rb'"\ude00b"', "�b"),
        (rb'"\ud83dx\ude00"', "�x�"),
        (rb'"\ud83d\ud83d\ude00"', "�😀"),
        (rb'"\\ud83d"', r"\ud83d"),
        (rb'"\\\ud83d"', "\\�"),
        (b'"a\xffb"', "a�b"),
        ('"é😀"'.encode(), "é😀"),
        (b'"\xed\xa0\x80"', "���"),
    ],
)
def test_impossible_characters_are_replaced_and_others_kept(given: bytes, text: str) -> None:
    assert msgspec.json.decode(mended(given)) == text


@pytest.mark.parametrize("given", [b'{"a":', b"nul", b'"\xff', b"[" * 100_000])
def test_broken_syntax_stays_broken(given: bytes) -> None:
    with pytest.raises(BROKEN):
        msgspec.json.decode(mended(given))
