from enum import Enum
from typing import Annotated

import msgspec
import pytest
import yaml
from msgspec import Meta

from services.chassis.secret import Secret
from services.chassis.settings_reader import PARTIAL
from services.chassis.settings_table import example, markdown, plain, rows


class Colour(Enum):
    RED = "red"


class Flags(msgspec.Struct, frozen=True, rename="camel"):
    fast_lane: bool = False


class Rule(msgspec.Struct, frozen=True):
    set: Annotated[dict[str, object], Meta(extra={PARTIAL: Flags})]


class Vendor(msgspec.Struct, frozen=True, rename="camel"):
    base_url: Annotated[str, Meta(description="base")] = "https://one"


class Server(msgspec.Struct, frozen=True):
    port: Annotated[int, Meta(description="port for clients")] = 8080
    hosts: Annotated[tuple[str, ...], Meta(description="hosts")] = ()


class Settings(msgspec.Struct, frozen=True, rename="camel"):
    server: Server = Server()
    api_key: Annotated[Secret | None, Meta(description="the key")] = None
    colour: Annotated[Colour, Meta(description="colour")] = Colour.RED
    seconds: Annotated[float, Meta(description="seconds")] = 10.0
    vendors: dict[str, Vendor] = msgspec.field(default_factory=lambda: {"one": Vendor()})
    extras: Annotated[dict[str, str], Meta(description="extras")] = {}
    rules: Annotated[tuple[Rule, ...], Meta(description="rules")] = ()


NAMES = {"PORT": "server.port", "PORT_TOO": "server.port", "KEY": "apiKey"}


def test_every_setting_is_a_row_with_its_meaning_and_variables() -> None:
    listed = {row.path: row for row in rows(Settings(), NAMES)}

    assert list(listed) == [
        "server.port", "server.hosts", "apiKey", "colour", "seconds", "vendors.one.baseUrl", "extras", "rules"
    ]  # fmt: skip
    port = listed["server.port"]
    assert (port.value, port.text, port.meaning, port.variables) == (
        8080, "8080", "port for clients", ("PORT", "PORT_TOO")
    )  # fmt: skip
    assert [row.text for row in listed.values()] == ["8080", "[]", "", "red", "10", "https://one", "{}", "[]"]
    assert [path for path, row in listed.items() if row.secret] == ["apiKey"]


def test_secrets_and_the_user_part_of_addresses_are_masked() -> None:
    canary = Settings(api_key=Secret("canary"), vendors={"one": Vendor("redis://me:canary@host:1/0")})
    shown = {row.path: row.text for row in rows(canary, {})}

    assert shown["apiKey"] == "**********"
    assert shown["vendors.one.baseUrl"] == "redis://***@host:1/0"


def test_lists_of_structs_are_spelled_out_under_the_names_of_the_file() -> None:
    shown = {row.path: row.value for row in rows(Settings(rules=(Rule({"fast_lane": True}),)), {})}

    assert shown["rules[0].set.fastLane"] is True


def test_a_type_that_cannot_be_shown_is_a_bug_and_raises() -> None:
    with pytest.raises(TypeError, match="object"):
        plain(object())


def test_plain_values_are_json() -> None:
    assert plain((1.5, 2.0, "x", Colour.RED, None)) == [1.5, 2, "x", "red", None]


def test_the_reference_is_a_markdown_table() -> None:
    text = markdown(rows(Settings(), NAMES))

    assert "| `server.port` | `PORT` `PORT_TOO` | `8080` | port for clients |\n" in text
    assert "| `apiKey` | `KEY` |  | the key (also `apiKeyFile`) |\n" in text


def uncommented(text: str) -> str:
    return "\n".join(line.replace("# ", "", 1) if line.strip().startswith("# ") else line for line in text.splitlines())


def test_the_example_sets_nothing_and_holds_every_default_as_a_comment() -> None:
    text = example(rows(Settings(), NAMES), "Head\n\nmore")

    assert text.startswith("# Head\n#\n# more\n")
    assert "  ## port for clients [PORT, PORT_TOO]\n  # port: 8080\n" in text
    assert "\n## the key (or apiKeyFile: the path of a file that holds it) [KEY]\n# apiKey:\n" in text
    assert yaml.safe_load(text) == {"server": None, "vendors": {"one": None}}
    assert yaml.safe_load(uncommented(text.partition("more\n")[2])) == {
        "server": {"port": 8080, "hosts": []},
        "apiKey": None,
        "colour": "red",
        "seconds": 10,
        "vendors": {"one": {"baseUrl": "https://one"}},
        "extras": {},
        "rules": [],
    }


def test_texts_that_yaml_would_misread_are_quoted() -> None:
    class Odd(msgspec.Struct):
        version: str = "3.10"
        home: str = "~/.z"
        switch: str = "a: b"

    assert yaml.safe_load(uncommented(example(rows(Odd(), {}), ""))) == {
        "version": "3.10", "home": "~/.z", "switch": "a: b"
    }  # fmt: skip
