import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from services.cli.app import app
from tests.component.cli.conftest import Cli, clean_environment


def test_help_teaches_with_examples_and_explains_the_exit_codes(cli: Cli) -> None:
    result = cli("--help")

    assert result.exit_code == 0
    assert "zcode-proxy serve --demo" in result.stdout
    assert "64 the configuration has faults" in " ".join(result.stdout.split())


def commands(group: Any, *above: str) -> Iterator[str]:
    """Yield every command that can be typed, as it is typed."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name))


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    result = cli(*command.split(), "--help")
    usage, _, rest = result.stdout.partition("Usage: zcode-proxy")

    assert result.exit_code == 0
    assert usage.strip() == ""
    assert len(rest.split("Options")[0].split()) > 5, "what it does must be said"


def test_the_commands_of_the_design_are_there() -> None:
    wanted = {"serve", "gateway", "credentials", "init", "simulator", "auth login", "auth status", "auth logout"}
    wanted |= {"keys create", "keys list", "keys rotate", "keys revoke", "rotate master", "rotate credential"}

    assert wanted <= set(COMMANDS)


def test_without_a_command_the_help_is_shown(cli: Cli) -> None:
    assert "Commands" in cli().output


def test_version_in_words_and_json(cli: Cli) -> None:
    assert cli("version").stdout.startswith("zcode-proxy ")
    assert set(json.loads(cli("version", "--json").stdout)) == {"version", "python", "system"}
    assert cli("--version").stdout.startswith("zcode-proxy ")


def test_models_are_listed_with_those_of_the_configuration(cli: Cli) -> None:
    Path("config.yaml").write_text("defaultModel: glm-4.6\nmodels: [mine, {id: glm-4.7, context: 5}]\n")
    listed = {row["id"]: row for row in json.loads(cli("models", "--json").stdout)}

    assert listed["mine"]["source"] == listed["glm-4.7"]["source"] == "configuration"
    assert listed["glm-5.2"] == {
        "id": "glm-5.2", "context": 1_000_000, "maxOutput": 131_072, "source": "built in", "default": False
    }  # fmt: skip
    assert listed["glm-4.6"]["default"]
    assert "glm-4.6\t200,000\t131,072\tbuilt in\tdefault" in cli("models").stdout.splitlines()


@pytest.mark.parametrize("command", ["models", "serve", "gateway", "config show"])
def test_faults_stop_every_command_before_it_starts(cli: Cli, command: str) -> None:
    Path("config.yaml").write_text("zzzz: 1\n")
    result = cli(*command.split())

    assert result.exit_code == 64
    assert "config.yaml:1: zzzz: is not a setting" in result.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "set auth.apiKey (ZCODE_API_KEY) or providers.zai.credential"),
        ("provider: bigmodel", "providers.bigmodel.credential"),
        ("plan: start-plan", "set startPlan.jwt (ZCODE_START_PLAN_JWT)"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "gateway"])
def test_without_a_key_nothing_is_started_and_the_way_out_is_named(
    cli: Cli, command: str, config: str, words: str
) -> None:
    Path("config.yaml").write_text(config)
    result = cli(command)

    assert result.exit_code == 64
    assert words in result.stderr
    assert "zcode-proxy serve --demo" in result.stderr


def test_a_gateway_of_its_own_wants_a_key_even_where_logins_are_used(cli: Cli) -> None:
    Path("config.yaml").write_text("auth: {mode: oauth}")

    assert 64 == cli("gateway").exit_code


def test_a_port_option_outranks_everything(cli: Cli) -> None:
    result = cli("serve", "--port", "9090", ZCODE_PROXY_PORT="1")

    assert result.exit_code == 64
    assert "server.adminPort: is the same as server.port (9090)" in result.stderr


@pytest.mark.parametrize(
    "argv", [["serve", "--port", "99999"], ["serve", "--nope"], ["nope"], ["env", "nope"], ["env"]]
)
def test_misuse_leaves_with_2(cli: Cli, argv: list[str]) -> None:
    assert cli(*argv).exit_code == 2


def shell(script: str, variable: str) -> str:
    """What a POSIX shell makes of the printed settings."""
    done = subprocess.run(
        ["sh", "-euc", f'{script}\nprintf %s "${variable}"'],
        env=clean_environment(ZCODE_PROXY_API_KEY="client-key"),
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout


def test_env_refers_to_the_variable_that_holds_the_key(cli: Cli) -> None:
    result = cli("env", "claude-code", ZCODE_PROXY_API_KEY="client-key")

    assert "client-key" not in result.output
    assert shell(result.stdout, "ANTHROPIC_AUTH_TOKEN") == "client-key"
    assert shell(result.stdout, "ANTHROPIC_BASE_URL") == "http://127.0.0.1:8080"


def test_env_refers_to_the_file_that_holds_the_key(cli: Cli, tmp_path: Path) -> None:
    directory = tmp_path / "with space"
    directory.mkdir()
    (directory / "key").write_text("from-file\n")
    result = cli("env", "openai", ZCODE_PROXY_API_KEY_FILE=str(directory / "key"))

    assert "from-file" not in result.output
    assert shell(result.stdout, "OPENAI_API_KEY") == "from-file"


def test_env_points_at_the_line_of_a_key_in_the_configuration(cli: Cli) -> None:
    Path("config.yaml").write_text("auth:\n  proxyApiKey: canary-key\n")
    result = cli("env", "openai")

    assert "canary" not in result.output
    assert shell(result.stdout, "OPENAI_API_KEY") == "<the client key: auth.proxyApiKey, config.yaml:2>"


def test_env_without_a_client_key_gives_any_word(cli: Cli) -> None:
    assert shell(cli("env", "openai").stdout, "OPENAI_API_KEY") == "unused"


@pytest.mark.parametrize(
    ("config", "argv", "url"),
    [
        ("server: {host: '::', port: 81}", [], "http://[::1]:81/v1"),
        ("server: {host: 0.0.0.0}", [], "http://127.0.0.1:8080/v1"),
        ("server: {host: gateway.lan}", [], "http://gateway.lan:8080/v1"),
        ("", ["--url", "https://gw.example/v1/"], "https://gw.example/v1"),
    ],
)
def test_env_knows_where_the_gateway_is(cli: Cli, config: str, argv: list[str], url: str) -> None:
    Path("config.yaml").write_text(config)

    assert json.loads(cli("env", "openai", "--json", *argv).stdout)["variables"]["OPENAI_BASE_URL"] == url


def test_env_uses_the_default_model_and_its_size(cli: Cli) -> None:
    Path("config.yaml").write_text("defaultModel: mine\nmodels: [{id: mine, context: 7, maxOutput: 3}]\n")
    config = json.loads(json.loads(cli("env", "opencode", "--json").stdout)["content"])

    assert config["provider"]["zcode"]["models"]["mine"] == {"limit": {"context": 7, "output": 3}}


def test_env_uses_a_default_model_that_nobody_lists(cli: Cli) -> None:
    Path("config.yaml").write_text("defaultModel: 'odd;model'\n")
    (line,) = [line for line in cli("env", "claude-code").stdout.splitlines() if "SONNET" in line]

    assert shlex.split(line)[1] == "ANTHROPIC_DEFAULT_SONNET_MODEL=odd;model"
