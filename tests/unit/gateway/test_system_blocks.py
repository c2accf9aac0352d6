"""Where the start plan's system texts come from, and what is said of a file that is none."""

import pytest

from services.gateway.settings import DEFAULT_SYSTEM_BLOCKS, StartPlanSettings
from services.gateway.system_blocks import SystemBlocksUnusable, complaints, system_blocks


def _never(name: str) -> str:
    raise AssertionError(name)


def _blocks(name: str, text: str) -> tuple[str, ...]:
    def read(asked: str) -> str:
        assert name == asked
        return text

    return system_blocks(StartPlanSettings(system_blocks_file=name), read)


def test_without_a_file_the_settings_own_blocks_count_and_no_file_is_read() -> None:
    assert DEFAULT_SYSTEM_BLOCKS == system_blocks(StartPlanSettings(), _never)
    assert ("a", "b") == system_blocks(StartPlanSettings(system_blocks=("a", "b")), _never)
    assert () == system_blocks(StartPlanSettings(system_blocks=()), _never)


def test_the_default_is_one_neutral_line_of_our_own() -> None:
    [block] = DEFAULT_SYSTEM_BLOCKS

    assert "\n" not in block
    assert not {"zcode", "z.ai", "glm", "claude"} & set(block.lower().split())


def test_a_plain_file_is_one_text() -> None:
    assert ("One.\n\n---\nStill one.",) == _blocks("client.txt", "One.\n\n---\nStill one.\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', ("a", "b")),
        ('[{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, "b"]', ("a", "b")),
    ],
)
def test_a_json_file_is_a_list_of_texts_or_blocks(text: str, expected: tuple[str, ...]) -> None:
    assert expected == _blocks("client.JSON", text)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", " \n", "holds no text"),
        ("a.json", "[]", "holds no text"),
        ("a.json", '["a", " "]', "an empty block"),
        ("a.json", "{}", "no JSON list of texts"),
        ("a.json", '[{"type": "image"}]', "no JSON list of texts"),
        ("a.json", "plain", "no JSON list of texts"),
    ],
)
def test_a_file_without_usable_text_is_refused_by_its_name(name: str, text: str, words: str) -> None:
    with pytest.raises(SystemBlocksUnusable, match=words) as refusal:
        _blocks(name, text)

    assert name in str(refusal.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory"), "cannot read x: no such file or directory"),
        (OSError("odd"), "cannot read x: unreadable"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), "x is not text"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_fault_of_its_setting(error: Exception, words: str) -> None:
    def read(_: str) -> str:
        raise error

    assert [("startPlan.systemBlocksFile", words)] == [*complaints(StartPlanSettings(system_blocks_file="x"), read)]
    assert [] == [*complaints(StartPlanSettings(), read)]
