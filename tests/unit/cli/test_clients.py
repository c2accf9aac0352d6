import json
import shlex
import tomllib

import msgspec
import pytest

from services.cli.clients import CLIENTS, Guide, Target, Word, literal, shell_script

TARGET = Target(
    url="http://127.0.0.1:8080",
    key=Word("$ZCODE_PROXY_API_KEY", '"$ZCODE_PROXY_API_KEY"'),
    key_variable="ZCODE_CLIENT_KEY",
    model="glm-5.2",
    small_model="glm-4.5-air",
    context=1_000_000,
    max_output=131_072,
)


def guide(client: str) -> Guide:
    return CLIENTS[client](TARGET)


def variables(client: str) -> dict[str, str]:
    return {name: word.plain for name, word in guide(client).variables}


def test_the_clients_of_the_design_are_there() -> None:
    assert list(CLIENTS) == ["claude-code", "codex", "opencode", "cline", "openai"]


def test_claude_code_gets_the_root_and_a_bearer_key() -> None:
    found = variables("claude-code")

    assert found["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8080"
    assert found["ANTHROPIC_AUTH_TOKEN"] == "$ZCODE_PROXY_API_KEY"
    assert found["ANTHROPIC_DEFAULT_OPUS_MODEL"] == found["ANTHROPIC_DEFAULT_SONNET_MODEL"] == "glm-5.2"
    assert found["ANTHROPIC_DEFAULT_HAIKU_MODEL"] == "glm-4.5-air"


@pytest.mark.parametrize(
    ("context", "told"),
    [
        (1_000_000, {}),
        (200_000, {"CLAUDE_CODE_DISABLE_1M_CONTEXT": "1"}),
        (131_072, {"CLAUDE_CODE_DISABLE_1M_CONTEXT": "1", "CLAUDE_CODE_AUTO_COMPACT_WINDOW": "131072"}),
    ],
)
def test_claude_code_is_told_how_much_the_model_holds(context: int, told: dict[str, str]) -> None:
    found = CLIENTS["claude-code"](msgspec.structs.replace(TARGET, context=context)).variables

    assert told == {name: word.plain for name, word in found if "CONTEXT" in name or "COMPACT" in name}


def test_openai_clients_get_the_v1_root() -> None:
    assert variables("openai") == {
        "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1",
        "OPENAI_API_KEY": "$ZCODE_PROXY_API_KEY",
    }


def test_opencode_gets_a_file_that_refers_to_the_key() -> None:
    config = json.loads(guide("opencode").content or "")
    provider = config["provider"]["zcode"]

    assert provider["options"] == {"baseURL": "http://127.0.0.1:8080/v1", "apiKey": "{env:ZCODE_CLIENT_KEY}"}
    assert provider["models"]["glm-5.2"] == {"limit": {"context": 1_000_000, "output": 131_072}}
    assert (config["model"], config["small_model"]) == ("zcode/glm-5.2", "zcode/glm-4.5-air")


def test_codex_gets_a_provider_that_speaks_responses() -> None:
    config = tomllib.loads(guide("codex").content or "")

    assert config.pop("model_providers") == {
        "zcode": {
            "name": "zcode-proxy",
            "base_url": "http://127.0.0.1:8080/v1",
            "env_key": "ZCODE_CLIENT_KEY",
            "wire_api": "responses",
            "request_max_retries": 0,
        }
    }
    assert config == {
        "model": "glm-5.2",
        "model_provider": "zcode",
        "model_context_window": 1_000_000,
        "web_search": "disabled",
    }


def test_cline_is_told_in_words() -> None:
    assert "  Base URL: http://127.0.0.1:8080/v1" in guide("cline").remarks
    assert guide("cline").variables == ()


@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_is_made_to_set_what_a_gateway_in_the_same_shell_would_read(client: str) -> None:
    """`eval` of the output must not give a later `zcode-proxy serve` a client key, which would open it to others."""
    assert not {"ZCODE_PROXY_API_KEY", "ZCODE_API_KEY"} & set(variables(client))


@pytest.mark.parametrize("client", CLIENTS)
def test_every_line_for_the_shell_is_an_export_or_a_comment(client: str) -> None:
    lines = shell_script(guide(client)).splitlines()

    assert lines
    assert all(line.startswith(("export ", "#")) for line in lines)


@pytest.mark.parametrize("client", CLIENTS)
def test_no_line_of_a_value_is_left_to_the_shell(client: str) -> None:
    odd = msgspec.structs.replace(TARGET, model="a\nrun", url="http://b\nrun", key=literal("c\nrun"))
    script = shell_script(msgspec.structs.replace(CLIENTS[client](odd), variables=()))

    assert all(line.startswith("#") for line in script.splitlines())


def test_values_are_quoted_for_the_shell() -> None:
    nasty = Guide(title="x", variables=(("A", literal("a b; rm -rf $HOME")),))
    (line,) = [line for line in shell_script(nasty).splitlines() if line.startswith("export")]

    assert shlex.split(line) == ["export", "A=a b; rm -rf $HOME"]
