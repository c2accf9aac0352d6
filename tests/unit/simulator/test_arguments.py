"""Arguments made from JSON Schemas and prompts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.simulator.arguments import Hints, fill, path_in
from services.simulator.conversation import Json, read
from services.simulator.wire import Wire


def _hints(prompt: str, system: str = "") -> Hints:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
    return Hints.of(read(Wire.OPENAI, json.dumps({"model": "m", "messages": messages}).encode()))


def _one(name: str, schema: object, prompt: str = "hi", system: str = "") -> object:
    arguments = fill({"type": "object", "properties": {name: schema}, "required": [name]}, _hints(prompt, system))
    return arguments[name]


_STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("prompt", "command"),
    [
        ("run `git status -s` please", "git status -s"),
        ("Run the command pytest -q.", "pytest -q"),
        ("execute echo hello", "echo hello"),
        ("list the files here", "ls"),
        ("RUN FASTER", "ls"),
    ],
)
def test_a_command_comes_from_the_prompt(prompt: str, command: str) -> None:
    assert command == _one("command", _STRING, prompt)


@pytest.mark.parametrize(
    ("system", "prompt", "path"),
    [
        ("", "read src/main.py", "src/main.py"),
        ("Working directory: /work/x\n", "read src/main.py", "/work/x/src/main.py"),
        ("Primary working directory: /work/x\n", "what does README.md say?", "/work/x/README.md"),
        ("I'm currently working in the directory: /work/x\n", "summarise it", "/work/x/README.md"),
        ("Working directory: /work/x\n", "read /etc/hosts", "/etc/hosts"),
    ],
)
def test_a_path_comes_from_the_prompt_and_is_absolute_where_the_directory_is_known(
    system: str, prompt: str, path: str
) -> None:
    assert path == _one("file_path", _STRING, prompt, system)


def test_a_directory_is_the_working_directory() -> None:
    assert _one("path", _STRING, "list files", "Working directory: /work/x\n") == "/work/x"
    assert _one("directory", _STRING, "list files") == "."


@pytest.mark.parametrize(
    ("name", "prompt", "value"),
    [
        ("city", "weather in New York?", "New York"),
        ("location", "weather?", "Paris"),
        ("url", "fetch https://example.org/a.html now", "https://example.org/a.html"),
        ("query", 'search for "needle" here', "needle"),
        ("query", "plain words", "plain words"),
        ("pattern", "find it", "*"),
        ("description", "anything", "Simulated call"),
    ],
)
def test_other_properties_are_filled_by_their_name(name: str, prompt: str, value: str) -> None:
    assert value == _one(name, _STRING, prompt)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 5}, 5),
        ({"type": "string", "default": "d"}, "d"),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": ["null", "boolean"]}, False),
        ({"type": "null"}, None),
        ({"type": "integer", "minimum": 10}, 10),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"type": "array"}, []),
        ({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"properties": {"a": {"const": 1}}, "required": ["a"]}, {"a": 1}),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "maxLength": 1}, "h"),
        ({"type": "string", "minLength": 4}, "hi.."),
        (True, "hi"),
    ],
)
def test_values_follow_their_schema(schema: object, value: object) -> None:
    assert value == _one("thing", schema)


def test_local_references_are_followed() -> None:
    schema: Json = {
        "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"$ref": "#/nowhere"}},
        "required": ["a", "b"],
        "$defs": {"a": {"const": 3}},
    }

    assert fill(schema, _hints("hi")) == {"a": 3, "b": "hi"}


def test_a_schema_that_contains_itself_ends() -> None:
    node: Json = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    options: Json = {"properties": {"x": {"$ref": "#/$defs/x"}}, "required": ["x"]}
    options["$defs"] = {"x": {"anyOf": [{"$ref": "#/$defs/x"}]}}
    loop: Json = {"properties": {"x": {"$ref": "#/properties/x"}}, "required": ["x"]}

    assert json.dumps(fill(node, _hints("hi"))).count("next") <= 10
    assert fill(options, _hints("hi")) == {"x": "hi"}
    assert fill(loop, _hints("hi")) == {"x": "hi"}


def test_only_required_properties_are_filled() -> None:
    assert fill({"properties": {"a": _STRING}}, _hints("hi")) == {}
    assert fill({}, _hints("hi")) == {}


_KEYS = st.sampled_from(["type", "properties", "required", "items", "anyOf", "enum", "$ref", "minLength", "a"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["object", "array", "string", "#/a", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(_KEYS, _JSON, max_size=5))
def test_any_schema_gives_an_object(schema: Json) -> None:
    assert isinstance(fill(schema, _hints("hi")), dict)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("read a.py", True),
        ("see /etc/hosts", True),
        ("the README", True),
        ("end. Next", False),
        ("http://x.org/a.b", False),
    ],
)
def test_paths_are_told_from_prose_and_addresses(text: str, found: bool) -> None:
    assert found == path_in(text)
