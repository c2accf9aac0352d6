"""
The system texts that go before the client's own on the start plan (M4): from the settings, or from a file they name.

    name.json      a list of texts, or of `{"type": "text", "text": …}` blocks: the `system` of an Anthropic request
    anything else  one text, the whole file

Pure: the file is read by what is handed in.
"""

from collections.abc import Callable, Iterator

import msgspec

from services.chassis.settings import Complaint
from services.gateway.settings import StartPlanSettings

_SETTING = "startPlan.systemBlocksFile"


class SystemBlocksUnusable(Exception):
    """The file cannot be used; says why, not what is in it."""


class _Block(msgspec.Struct):
    text: str


def system_blocks(settings: StartPlanSettings, read_file: Callable[[str], str]) -> tuple[str, ...]:
    """Return the blocks in their order. `read_file` raises OSError or UnicodeDecodeError."""
    name = settings.system_blocks_file
    if name is None:
        return settings.system_blocks
    try:
        text = read_file(name)
    except OSError as error:
        raise SystemBlocksUnusable(f"cannot read {name}: {(error.strerror or 'unreadable').lower()}") from None
    except UnicodeDecodeError:
        raise SystemBlocksUnusable(f"{name} is not text") from None
    blocks = _listed(name, text) if name.lower().endswith(".json") else (text.strip(),)
    if not blocks or not all(block.strip() for block in blocks):
        raise SystemBlocksUnusable(f"{name} holds no text, or an empty block")
    return blocks


def complaints(settings: StartPlanSettings, read_file: Callable[[str], str]) -> Iterator[Complaint]:
    """Yield what is wrong with the file, as a pair of the setting's path and words for a person."""
    try:
        system_blocks(settings, read_file)
    except SystemBlocksUnusable as error:
        yield _SETTING, str(error)


def _listed(name: str, text: str) -> tuple[str, ...]:
    try:
        blocks = msgspec.json.decode(text, type=list[str | _Block])
    except msgspec.DecodeError as error:
        words = f"{name} is no JSON list of texts or text blocks: {error}"
        raise SystemBlocksUnusable(words) from None
    return tuple(block if isinstance(block, str) else block.text for block in blocks)
