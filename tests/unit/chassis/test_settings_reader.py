from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, inspect

from services.chassis.secret import Secret
from services.chassis.settings_document import Fault, read_document
from services.chassis.settings_reader import PARTIAL, Reader, is_secret


class Flags(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    fast_lane: bool = False
    stop_limit: int | None = 4


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    set: Annotated[dict[str, object], Meta(extra={PARTIAL: Flags})]
    model: str | None = None


class Vendor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    base_url: str
    other_url: str
    key: Secret | None = None
    rules: tuple[Rule, ...] = ()


class Server(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = 8080
    hosts: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    server: Server = Server(port=99)
    vendors: dict[str, Vendor] = msgspec.field(
        default_factory=lambda: {"one": Vendor(base_url="https://one", other_url="https://other")}
    )
    api_key: Secret | None = None
    rules: tuple[Rule, ...] = ()


FILES = {"/run/key": "file.secret\n", "/run/empty": "\n", "/run/two": "two words"}


def read_file(path: str) -> str:
    if path == "/run/binary":
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


def reader_of(text: str, cls: type[msgspec.Struct] = Settings) -> tuple[Any, Reader]:
    document, faults = read_document(text, "c.yaml")
    assert faults == []
    reader = Reader(read_file=read_file, later_keys={"accounts": "see the manual", "server.tls": "use a proxy"})
    return reader.root(cls, document), reader


def faults_of(text: str, cls: type[msgspec.Struct] = Settings) -> list[str]:
    return [str(fault) for fault in reader_of(text, cls)[1].faults]


def test_nothing_written_gives_the_defaults() -> None:
    value, reader = reader_of("")

    assert value == Settings()
    assert (reader.faults, reader.warnings, reader.places) == ([], [], {})


def test_a_changed_key_leaves_its_neighbours_at_the_default_of_the_whole() -> None:
    """Not at the default of the field's own class: a plan's settings differ by plan."""
    value, _ = reader_of("server: {host: here}\nvendors:\n  one: {baseUrl: https://mine}\n")

    assert value.server == Server(host="here", port=99)
    assert value.vendors == {"one": Vendor(base_url="https://mine", other_url="https://other")}


def test_a_new_entry_of_a_mapping_must_be_complete() -> None:
    value, reader = reader_of("vendors:\n  two: {baseUrl: https://two}\n")

    assert [str(fault) for fault in reader.faults] == ["c.yaml:2: vendors.two.otherUrl: is required"]
    assert set(value.vendors) == {"one"}


def test_a_new_entry_that_is_complete_stands_beside_the_defaults() -> None:
    value, _ = reader_of("vendors:\n  two: {baseUrl: https://two, otherUrl: https://too}\n")

    assert list(value.vendors) == ["one", "two"]


def test_null_means_not_set_and_for_optional_settings_none() -> None:
    value, reader = reader_of("server:\n  host:\n  port:\nvendors:\napiKey:\nrules:\n  - {set: {stopLimit: null}}\n")

    assert value.server == Server(host=None, port=99)
    assert value.rules == (Rule(set={"stop_limit": None}),)
    assert reader.faults == []


def test_an_entry_of_a_mapping_with_everything_commented_out_keeps_its_default() -> None:
    value, reader = reader_of("vendors:\n  one:\n")

    assert (value, reader.faults) == (Settings(), [])


def test_an_empty_text_leaves_an_optional_setting_out() -> None:
    value, reader = reader_of('server: {host: ""}\napiKey: ""\napiKeyFile: ""\n')

    assert (value.server.host, value.api_key, reader.faults) == (None, None, [])


def test_all_faults_come_at_once_each_with_its_line() -> None:
    assert faults_of(
        "server:\n  port: 70000\n  hots: x\n  hosts: a\nvendors:\n  - x\napiKey: [k]\n"
        "rules:\n  - {set: {fastLane: maybe}}\n  - {model: m}\nserver2: 1\n"
    ) == [
        "c.yaml:11: server2: is not a setting; did you mean server?",
        "c.yaml:3: server.hots: is not a setting; did you mean hosts?",
        "c.yaml:2: server.port: must be at least 1 and at most 65535, not '70000'",
        "c.yaml:4: server.hosts: must be a list, not a single value",
        "c.yaml:5: vendors: must be a mapping, not a list",
        "c.yaml:7: apiKey: must be text, not a list",
        "c.yaml:9: rules[0].set.fastLane: must be true or false, not 'maybe'",
        "c.yaml:10: rules[1].set: is required",
    ]


def test_an_unknown_key_with_nothing_near_lists_what_is_known() -> None:
    assert faults_of("server:\n  zzz: 1\n") == ["c.yaml:2: server.zzz: is not a setting; known here: host, port, hosts"]


def test_an_unknown_key_among_many_lists_nothing() -> None:
    many = msgspec.defstruct("Many", [(f"field{at}", int, at) for at in range(13)])

    assert faults_of("zzz: 1\n", many) == ["c.yaml:1: zzz: is not a setting"]


def test_keys_of_other_versions_are_warnings() -> None:
    _, reader = reader_of("accounts: [1]\nserver: {tls: true}\n")

    assert reader.faults == []
    assert [str(warning) for warning in reader.warnings] == [
        "c.yaml:1: accounts: is not used by this version: see the manual",
        "c.yaml:2: server.tls: is not used by this version: use a proxy",
    ]


def test_every_kind_of_mismatch_has_words() -> None:
    assert faults_of("server: 3\nvendors: {one: {baseUrl: {a: 1}, rules: {}}}\nrules: [{set: 1}]\n") == [
        "c.yaml:1: server: must be a mapping, not a single value",
        "c.yaml:2: vendors.one.baseUrl: must be text, not a mapping",
        "c.yaml:2: vendors.one.rules: must be a list, not a mapping",
        "c.yaml:3: rules[0].set: must be a mapping, not a single value",
    ]


def test_a_list_of_structs_refuses_null() -> None:
    assert faults_of("rules: [~]\n") == ["c.yaml:1: rules[0].set: is required"]


def test_a_null_in_a_list_is_a_fault() -> None:
    assert faults_of("server: {hosts: [a, ~]}\n") == ["c.yaml:1: server.hosts[1]: must not be empty"]


def test_a_struct_with_one_required_field_may_be_its_value_alone() -> None:
    class Named(msgspec.Struct):
        id: str
        size: int = 3

    class Holder(msgspec.Struct):
        models: tuple[Named, ...] = ()

    value, reader = reader_of("models: [a, {id: b, size: 4}]\n", Holder)

    assert value.models == (Named("a"), Named("b", 4))
    assert str(reader.places["models[0].id"]) == "c.yaml:1"


def test_part_of_a_struct_is_kept_under_its_python_names() -> None:
    value, reader = reader_of("rules:\n  - {set: {fastLane: yes}, model: m}\n  - {set: {}}\n")

    assert value.rules == (Rule(set={"fast_lane": True}, model="m"), Rule(set={}))
    assert str(reader.places["rules[0].set.fastLane"]) == "c.yaml:2"


def test_an_unknown_field_in_a_part_is_a_fault() -> None:
    assert faults_of("rules: [{set: {fastLan: yes}}]\n") == [
        "c.yaml:1: rules[0].set.fastLan: is not a setting; did you mean fastLane?"
    ]


def test_a_secret_may_be_in_a_file_of_its_own() -> None:
    value, reader = reader_of("apiKeyFile: /run/key\nvendors: {one: {keyFile: /run/key}}\n")

    assert value.api_key == value.vendors["one"].key == Secret("file.secret")
    assert str(reader.places["apiKey"]) == "c.yaml:1 (from /run/key)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apiKey: a\napiKeyFile: /run/key\n", "c.yaml:1: apiKey: is given both directly and as apiKeyFile; keep one"),
        ("apiKeyFile: /none\n", "c.yaml:1: apiKeyFile: cannot read /none: No such file or directory"),
        ("apiKeyFile: /run/binary\n", "c.yaml:1: apiKeyFile: /run/binary is not text"),
        ("apiKeyFile: /run/empty\n", "c.yaml:1: apiKeyFile: /run/empty is empty"),
        (
            "apiKeyFile: /run/two\n",
            "c.yaml:1: apiKeyFile: /run/two: holds white space or a character outside ASCII; is it one key and nothing else?",
        ),
        ("apiKeyFile: {}\n", "c.yaml:1: apiKeyFile: must be the path of a file, not a mapping"),
        ("apiKeyFile: [x]\n", "c.yaml:1: apiKeyFile: must be the path of a file, not a list"),
    ],
)
def test_what_is_wrong_with_a_secrets_file(text: str, message: str) -> None:
    assert faults_of(text) == [message]


def test_a_faulty_secret_is_never_repeated() -> None:
    value, reader = reader_of("apiKey: canary secret\n")

    assert value.api_key is None
    assert "canary" not in "".join(map(str, reader.faults))


def test_without_a_required_field_there_are_no_settings() -> None:
    class Strict(msgspec.Struct):
        name: str
        other: str

    value, reader = reader_of("name: x\n", Strict)

    assert value is None
    assert reader.faults == [Fault(place=reader.faults[0].place, path="other", message="is required")]


def test_null_does_not_stand_for_a_required_field() -> None:
    assert faults_of("rules:\n  - model: m\n    set:\n") == ["c.yaml:2: rules[0].set: is required"]


def test_a_faulty_required_field_is_reported_once() -> None:
    class Strict(msgspec.Struct):
        name: str
        number: int

    assert faults_of("name: x\nnumber: y\n", Strict) == ["c.yaml:2: number: must be a whole number, not 'y'"]


def test_secrets_are_recognised_by_type() -> None:
    kinds = {field.name: is_secret(field.type) for field in inspect.type_info(Settings).fields}  # type: ignore[attr-defined]

    assert kinds == {"server": False, "vendors": False, "api_key": True, "rules": False}
    assert is_secret(inspect.type_info(Annotated[Secret, Meta(description="x")]))
