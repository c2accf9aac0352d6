"""The page's files: plain HTML, one style sheet, one script put together from its two parts."""

from pathlib import Path
from typing import Final

_DIRECTORY: Final = Path(__file__).parent / "files"


def _read(name: str) -> str:
    return (_DIRECTORY / name).read_text(encoding="utf-8")


DOCUMENT: Final = _read("captcha.html")
STYLES: Final = _read("captcha.css").encode()
SCRIPT: Final = (_read("words.js") + _read("captcha.js")).encode()


def document(nonce: str) -> bytes:
    """Return the page with its script allowed by `nonce`."""
    return DOCUMENT.replace("{nonce}", nonce).encode()
