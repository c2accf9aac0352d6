import json
from pathlib import Path

import pytest
import yaml

from services.cli.config import reference_table
from services.gateway.settings import VARIABLES
from tests.component.cli.conftest import ROOT, Cli

SEED = ROOT / "tests" / "golden" / "config" / "seed.yaml"
EXAMPLE = ROOT / "deploy" / "config.example.yaml"


def test_check_reports_every_fault_with_its_line_and_leaves_with_64(cli: Cli) -> None:
    Path("config.yaml").write_text("server:\n  prot: 1\nauth:\n  apiKey: canary key\nprovider: nobody\n")
    result = cli("config", "check", ZCODE_PROXY_PORT="http")

    assert result.exit_code == 64
    assert [line.partition(": is")[0] for line in result.stderr.splitlines()] == [
        "error: config.yaml:2: server.prot",
        "error: config.yaml:4: auth.apiKey: holds white space or a character outside ASCII; "
        "is it one key and nothing else?".partition(": is")[0],
        "error: config.yaml:5: provider",
        "error: env ZCODE_PROXY_PORT: server.port: must be a whole number, not 'http'",
    ]
    assert result.stdout == "4 faults; nothing would be started\n"
    assert "canary" not in result.output


def test_check_reads_the_start_plans_system_blocks_too(cli: Cli) -> None:
    Path("own.json").write_text("[]")
    Path("config.yaml").write_text("plan: start-plan\nprot: 1\nstartPlan:\n  systemBlocksFile: own.json\n")
    result = cli("config", "check")

    assert result.exit_code == 64
    assert [line.partition(":")[2].partition(": is")[0] for line in result.stderr.splitlines()] == [
        " config.yaml:2: prot",
        " config.yaml:4: startPlan.systemBlocksFile: own.json holds no text, or an empty block",
    ]


def test_check_in_json_is_for_scripts(cli: Cli) -> None:
    Path("c.yaml").write_text("zzzz: 1\naccounts: 1\n")
    result = cli("config", "check", "c.yaml", "--json")
    report = json.loads(result.stdout)

    assert result.exit_code == 64
    assert report["ok"] is False
    assert [(fault["where"], fault["line"], fault["path"]) for fault in report["faults"]] == [("c.yaml:1", 1, "zzzz")]
    assert report["warnings"][0]["path"] == "accounts"


def test_check_of_the_seeds_file_finds_nothing(cli: Cli) -> None:
    result = cli("config", "check", str(SEED))

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{SEED}: no faults\n"
    assert json.loads(cli("config", "check", str(SEED), "--json").stdout) == {"ok": True, "faults": [], "warnings": []}


def test_check_prints_warnings_and_still_passes(cli: Cli) -> None:
    Path("config.yaml").write_text("accounts: 1\n")
    result = cli("config", "check")

    assert result.exit_code == 0
    assert result.stderr.startswith("warning: config.yaml:1: accounts: is not used by this version")


def test_without_a_file_the_environment_is_enough(cli: Cli) -> None:
    result = cli("config", "check", ZCODE_API_KEY="a.b")

    assert (result.exit_code, result.stdout) == (0, "the environment and the defaults (no file): no faults\n")


@pytest.mark.parametrize(
    ("argv", "environ", "message"),
    [
        (["none.yaml"], {}, "error: option config: cannot read none.yaml: no such file or directory\n"),
        ([], {"ZCODE_PROXY_CONFIG": "none.yaml"}, "error: env ZCODE_PROXY_CONFIG: cannot read none.yaml: no such file"),
        (["."], {}, "error: option config: cannot read .: is a directory\n"),
        (["/dev/zero"], {}, "error: option config: cannot read /dev/zero: larger than 1 mib\n"),
    ],
)
def test_a_file_that_was_named_must_be_there(cli: Cli, argv: list[str], environ: dict[str, str], message: str) -> None:
    result = cli("config", "check", *argv, **environ)

    assert result.exit_code == 64
    assert result.stderr.startswith(message)


def test_a_file_that_is_not_text_is_a_fault(cli: Cli) -> None:
    Path("config.yaml").write_bytes(b"server: \xff\n")

    assert cli("config", "check").stderr == "error: default: config.yaml is not UTF-8 text\n"


def test_the_file_may_be_named_by_a_variable_and_an_argument_wins(cli: Cli) -> None:
    Path("a.yaml").write_text("server: {port: 1}\n")
    Path("b.yaml").write_text("server: {port: 2}\n")

    assert "a.yaml" in cli("config", "check", ZCODE_PROXY_CONFIG="a.yaml").stdout
    assert "b.yaml" in cli("config", "check", "b.yaml", ZCODE_PROXY_CONFIG="a.yaml").stdout


def test_show_prints_each_value_with_its_origin_and_masks_secrets(cli: Cli, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("canary.file\n")
    Path("config.yaml").write_text(
        f"server: {{port: 81}}\nauth: {{apiKeyFile: {key_file}}}\nstore: {{url: 'redis://u:canary@h'}}\n"
        "providers:\n  zai: {credential: canary.own}\n"
    )
    result = cli("config", "show", ZCODE_PROXY_API_KEY="canary.client", ZCODE_PROVIDER="zai")
    lines = [line.split("\t") for line in result.stdout.splitlines()]

    assert result.exit_code == 0
    assert ["server.port", "81", "config.yaml:1"] in lines
    assert ["server.adminPort", "9090", "default"] in lines
    assert ["auth.apiKey", "**********", f"config.yaml:2 (from {key_file})"] in lines
    assert ["auth.proxyApiKey", "**********", "env ZCODE_PROXY_API_KEY"] in lines
    assert ["providers.zai.credential", "**********", "config.yaml:5"] in lines
    assert ["store.url", "redis://***@h", "config.yaml:3"] in lines
    assert "canary" not in result.output


def test_show_can_be_held_to_what_was_changed_and_to_json(cli: Cli) -> None:
    Path("config.yaml").write_text("server: {port: 81}\n")
    result = cli("config", "show", "--changed", "--json")

    assert json.loads(result.stdout) == {"server.port": {"value": 81, "from": "config.yaml:1"}}


def test_show_with_faults_prints_them_instead(cli: Cli) -> None:
    Path("config.yaml").write_text("zzzz: 1\n")
    result = cli("config", "show")

    assert (result.exit_code, result.stdout) == (64, "")
    assert "zzzz" in result.stderr


def test_the_example_in_the_repository_is_the_one_the_command_prints(cli: Cli) -> None:
    """Rewrite it with: zcode-proxy config example > deploy/config.example.yaml."""
    assert cli("config", "example").stdout == EXAMPLE.read_text()


def test_the_example_changes_nothing_as_it_is_and_with_every_line_taken_out_of_its_comment(cli: Cli) -> None:
    result = cli("config", "show", str(EXAMPLE), "--changed", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {})

    lines = EXAMPLE.read_text().partition("\nserver:")
    body = "server:" + lines[2]
    Path("all.yaml").write_text(
        "\n".join(line.replace("# ", "", 1) if line.strip().startswith("# ") else line for line in body.splitlines())
    )
    everything = cli("config", "show", "all.yaml", "--json")
    plain = cli("config", "show", "--json")

    assert everything.exit_code == 0
    assert {path: entry["value"] for path, entry in json.loads(everything.stdout).items()} == {
        path: entry["value"] for path, entry in json.loads(plain.stdout).items()
    }


def test_the_reference_names_every_variable(cli: Cli) -> None:
    result = cli("config", "reference")

    assert result.stdout == reference_table()
    assert all(f"`{name}`" in result.stdout for name in VARIABLES.names)


def test_the_example_is_yaml_for_others_too() -> None:
    assert set(yaml.safe_load(EXAMPLE.read_text())) >= {"server", "auth", "providers", "limits"}
