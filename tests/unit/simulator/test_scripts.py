"""Which script a request gets."""

from pathlib import Path

import pytest

from services.simulator.script import Script, ScriptError
from services.simulator.scripts import BUILT_IN, Scripts, ScriptsFile, load

_FILE = """
named: {tired: "pace=2s"}
models: {glm-5.1: "error=1311"}
queue: ["error=1302"]
default: "events=3"
"""


def test_without_anything_the_demo_answers() -> None:
    assert Scripts().choose(None, "glm-4.7") is None


def test_the_order_is_header_model_queue_file_default(tmp_path: Path) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(_FILE)
    scripts = load(str(path))

    assert scripts.choose("tools=2", "sim:events=1") == Script(tools=2)
    assert scripts.choose(None, "sim:events=1") == Script(events=1)
    assert scripts.choose(None, "sim-tired") == Script(pace=2.0)
    assert scripts.waiting == 1
    assert scripts.choose(None, "glm-5.1") == Script(error="1302")
    assert scripts.choose(None, "glm-5.1") == Script(error="1311")
    assert scripts.choose(None, "glm-4.7") == Script(events=3)


def test_a_pushed_script_serves_as_often_as_it_says() -> None:
    scripts = Scripts()
    scripts.push(Script(events=1), times=2)

    assert [scripts.choose(None, "m") for _ in range(3)] == [Script(events=1), Script(events=1), None]


def test_a_reset_restores_the_queue_of_the_file() -> None:
    scripts = Scripts(ScriptsFile(queue=["events=1"]))
    scripts.choose(None, "m")
    scripts.push(Script(events=9))
    scripts.reset()

    assert scripts.choose(None, "m") == Script(events=1)
    assert scripts.choose(None, "m") is None


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_script_can_be_read(name: str) -> None:
    assert Scripts().choose(None, f"sim-{name}") is not None


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ScriptError, match="slow"):
        Scripts().choose(None, "sim-nothing")


@pytest.mark.parametrize("text", ["nonsense: {}", "named: 7", "default: [", 'default: "x=1"'])
def test_a_faulty_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scripts.yaml"
    path.write_text(text)

    with pytest.raises(ScriptError):
        load(str(path))
