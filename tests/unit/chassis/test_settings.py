from collections.abc import Iterable
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from services.chassis.secret import Secret
from services.chassis.settings import ConfigurationError, Loaded, Variables, load_settings


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    base: str
    key: Secret | None = None


class Server(msgspec.Struct, frozen=True, kw_only=True):
    port: Annotated[int, Meta(ge=1, le=65535, description="port")] = 8080
    hosts: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    server: Annotated[Server, Meta(description="server")] = Server()
    api_key: Secret | None = None
    proxy: str | None = None
    vendors: dict[str, Vendor] = msgspec.field(default_factory=lambda: {"one": Vendor(base="https://one")})


VARIABLES = Variables(
    names={"Z_PORT": "server.port", "Z_HOSTS": "server.hosts", "Z_KEY": "apiKey", "Z_ONE": "vendors.one.key"},
    fallbacks={"HTTPS_PROXY": "proxy", "https_proxy": "proxy"},
    prefix="Z_",
    others=("Z_CONFIG", "Z_OTHER_"),
)


def no_files(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def load(
    text: str | None = None,
    environ: dict[str, str] | None = None,
    options: dict[str, tuple[str, str]] | None = None,
) -> Loaded[Settings]:
    return load_settings(
        Settings, text, environ or {}, VARIABLES, read_file={"/k": "file.key"}.__getitem__, options=options
    )


def test_option_over_variable_over_file_over_default() -> None:
    text, environ, options = "server:\n  port: 1\n", {"Z_PORT": "2"}, {"server.port": ("--port", "3")}
    ports = [
        (loaded.unwrap().server.port, str(loaded.place("server.port")))
        for loaded in (load(), load(text), load(text, environ), load(text, environ, options))
    ]

    assert ports == [(8080, "default"), (1, "config.yaml:2"), (2, "env Z_PORT"), (3, "option --port")]


def test_a_fallback_variable_gives_way_to_the_file() -> None:
    environ = {"HTTPS_PROXY": "http://env", "https_proxy": "http://lower"}

    assert load(None, environ).unwrap().proxy == "http://env"
    assert load(None, {"https_proxy": "http://lower"}).unwrap().proxy == "http://lower"
    assert load("proxy: http://file", environ).unwrap().proxy == "http://file"
    assert load("proxy:\n", environ).unwrap().proxy is None


def test_an_empty_variable_counts_as_not_set() -> None:
    loaded = load("server: {port: 1}\nproxy:\n", {"Z_PORT": "", "Z_KEY": "", "HTTPS_PROXY": ""})

    assert loaded.unwrap() == Settings(server=Server(port=1))


def test_a_list_in_a_variable_is_separated_by_commas() -> None:
    assert load(None, {"Z_HOSTS": "a, b,,"}).unwrap().server.hosts == ("a", "b")


def test_a_variables_secret_outranks_both_spellings_in_the_file() -> None:
    for text in ("apiKey: file\n", "apiKeyFile: /k\n"):
        assert load(text, {"Z_KEY": "env.key"}).unwrap().api_key == Secret("env.key")
        loaded = load(text, {"Z_KEY_FILE": "/k"})

        assert loaded.unwrap().api_key == Secret("file.key")
        assert str(loaded.place("apiKey")) == "env Z_KEY_FILE (from /k)"


def test_a_variable_may_reach_into_a_mapping() -> None:
    vendor = load(None, {"Z_ONE": "k"}).unwrap().vendors["one"]

    assert vendor == Vendor(base="https://one", key=Secret("k"))


def test_a_secret_given_twice_by_variables_is_a_fault() -> None:
    loaded = load(None, {"Z_KEY": "a", "Z_KEY_FILE": "/k"})

    assert [str(fault) for fault in loaded.faults] == ["env Z_KEY: apiKey: Z_KEY_FILE is set as well; keep one"]


def test_only_secrets_have_a_file_variable() -> None:
    loaded = load(None, {"Z_PORT_FILE": "/k"})

    assert loaded.unwrap().server.port == 8080


def test_a_faulty_variable_is_named() -> None:
    loaded = load(None, {"Z_PORT": "http"})

    assert [str(fault) for fault in loaded.faults] == ["env Z_PORT: server.port: must be a whole number, not 'http'"]


def test_an_unknown_variable_with_the_prefix_is_a_warning_that_does_not_show_its_value() -> None:
    loaded = load(None, {"Z_PROT": "canary", "Z_CONFIG": "x", "Z_OTHER_X": "x", "Z_KEY_FILE": "/k", "PATH": "x"})

    assert [str(warning) for warning in loaded.warnings] == [
        "env Z_PROT: no setting is read from this variable; did you mean Z_PORT?"
    ]


def test_without_a_prefix_no_variable_is_unknown() -> None:
    loaded = load_settings(Settings, None, {"Z_PROT": "x"}, Variables(), read_file=no_files)

    assert loaded.warnings == ()


def complaints(settings: Settings) -> Iterable[tuple[str, str]]:
    yield "server.port", "is judged"
    yield "vendors.one.base", "is judged"
    yield "proxy", "is judged"


def judged(text: str) -> list[str]:
    loaded = load_settings(Settings, text, {}, Variables(), read_file=no_files, validate=complaints)
    return [str(fault) for fault in loaded.faults]


def test_complaints_about_the_whole_get_the_place_of_the_setting_they_are_about() -> None:
    assert judged("\n\nserver:\n  port: 1\nproxy: x\n") == [
        "config.yaml:4: server.port: is judged",
        "config.yaml:5: proxy: is judged",
        "default: vendors.one.base: is judged",
    ]


def test_a_faulty_setting_is_not_judged_again_and_the_others_still_are() -> None:
    assert judged("server: {port: x}\n") == [
        "config.yaml:1: server.port: must be a whole number, not 'x'",
        "default: vendors.one.base: is judged",
        "default: proxy: is judged",
    ]


def test_faults_come_in_the_order_of_the_file_and_then_the_rest() -> None:
    loaded = load("server: {port: x}\nzzz: 1\n", {"Z_KEY": "a b"})

    assert [str(fault.place) for fault in loaded.faults] == ["config.yaml:1", "config.yaml:2", "env Z_KEY"]


def test_unwrapping_with_faults_raises_all_of_them() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("zzz: 1\nyyy: 2\n").unwrap()

    assert len(caught.value.faults) == 2
    assert "config.yaml:1: zzz: is not a setting" in str(caught.value)


def test_what_cannot_be_built_has_no_value() -> None:
    class Strict(msgspec.Struct):
        name: str

    loaded = load_settings(Strict, "", {}, Variables(), read_file=no_files)

    assert loaded.value is None
    with pytest.raises(ConfigurationError):
        loaded.unwrap()


@pytest.mark.parametrize("path", ["nowhere", "server.nowhere", "server.port.deeper"])
def test_a_table_that_names_no_setting_is_a_bug_and_raises(path: str) -> None:
    with pytest.raises(LookupError, match=path):
        load_settings(Settings, None, {}, Variables(names={"X": path}), read_file=no_files)
