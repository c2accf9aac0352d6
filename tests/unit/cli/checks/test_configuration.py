from pathlib import Path

import pytest

from services.chassis.settings import Loaded, load_settings
from services.cli.checks.configuration import base_mistake, check_configuration
from services.cli.checks.finding import Finding, Status
from services.gateway.providers import PROVIDERS
from services.gateway.routing import Plan
from services.gateway.settings import VARIABLES, GatewaySettings
from services.gateway.settings_rules import complaints
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
GOOD_KEY = "0123456789abcdef.CanarySecret"


def no_files(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def load(text: str) -> Loaded[GatewaySettings]:
    # Where no store is, so that a developer's own does not count; what the text says wins.
    nowhere = "" if "store:" in text else "store: {dir: /nonexistent}\n"
    return load_settings(GatewaySettings, nowhere + text, {}, VARIABLES, read_file=no_files, validate=complaints)


def findings(text: str) -> list[Finding]:
    return list(check_configuration(load(text), "config.yaml"))


def of(check: str, text: str) -> Finding:
    (found,) = [finding for finding in findings(text) if finding.check == check]
    return found


def test_a_good_configuration_passes_everything() -> None:
    found = findings(f"auth: {{apiKey: {GOOD_KEY}, proxyApiKey: 0123456789abcdef0}}\n")

    assert {finding.status for finding in found} == {Status.GOOD}
    assert [finding.check for finding in found] == ["configuration", "upstream key", "client key", "address"]


def test_faults_and_warnings_of_loading_are_passed_on() -> None:
    found = findings("zzz: 1\naccounts: 1\n")

    assert [(finding.status, finding.message.partition(":")[0]) for finding in found[:2]] == [
        (Status.FAIL, "config.yaml"), (Status.WARN, "config.yaml")
    ]  # fmt: skip
    assert "no faults" not in "".join(finding.message for finding in found)


def test_an_unknown_provider_stops_the_checks_that_need_one() -> None:
    assert {finding.check for finding in findings("provider: nobody\n")} == {"configuration"}


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("auth: {}", Status.FAIL, "none is configured"),
        ("auth: {apiKey: your-api-key.here}", Status.FAIL, "placeholder"),
        ("auth: {apiKey: <key>}", Status.FAIL, "placeholder"),
        ("auth: {apiKey: sk-0123456789abcdef}", Status.WARN, "{id}.{secret}"),
        (f"auth: {{apiKey: {GOOD_KEY}}}", Status.GOOD, "usual shape"),
        ("provider: bigmodel\nauth: {apiKey: tiny}", Status.WARN, "16 characters or more"),
        ("plan: start-plan\nauth: {apiKey: a.b}", Status.FAIL, "none is configured"),
        ("plan: start-plan\nstartPlan: {jwt: anything}", Status.GOOD, "usual shape"),
    ],
)
def test_the_upstream_key(text: str, status: Status, words: str) -> None:
    found = of("upstream key", text)

    assert found.status is status
    assert words in found.message


def test_advice_about_the_start_plan_names_its_own_setting() -> None:
    assert "ZCODE_START_PLAN_JWT" in (of("upstream key", "plan: start-plan").advice or "")


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("plan: start-plan", Status.WARN, "3012"),
        ("plan: start-plan\nstartPlan: {systemBlocks: [mine]}", Status.GOOD, "your own"),
        ("plan: start-plan\nstartPlan: {systemBlocksFile: mine.json}", Status.GOOD, "your own"),
    ],
)
def test_the_start_plans_system_blocks(text: str, status: Status, words: str) -> None:
    found = of("system blocks", text)

    assert found.status is status
    assert words in found.message


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("auth: {}", Status.GOOD, "only this machine"),
        ("server: {host: localhost}", Status.GOOD, "only this machine"),
        ("server: {host: 0.0.0.0}", Status.FAIL, "other machines are refused"),
        ("auth: {proxyApiKey: short}", Status.WARN, "shorter than 16"),
        ("auth: {proxyApiKey: 0123456789abcdef}", Status.GOOD, "must present"),
    ],
)
def test_the_client_key(text: str, status: Status, words: str) -> None:
    found = of("client key", text)

    assert found.status is status
    assert words in found.message


def test_no_finding_repeats_a_key() -> None:
    found = findings(f"auth: {{apiKey: {GOOD_KEY}, proxyApiKey: canary-key}}\nzzz: 1\n")

    assert "anary" not in "".join(f"{finding.message}{finding.advice}" for finding in found)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("wire_format", UPSTREAM_FORMATS)
def test_the_usual_bases_have_no_mistake_with_or_without_a_slash(provider: str, wire_format: WireFormat) -> None:
    row = PROVIDERS[provider]
    base = row.openai_base if wire_format is OPENAI else row.anthropic_base

    assert base_mistake(provider, Plan.CODING, wire_format, base) is None
    assert base_mistake(provider, Plan.CODING, wire_format, base + "/") is None


@pytest.mark.parametrize(
    ("wire_format", "base", "status", "words"),
    [
        (OPENAI, "https://api.z.ai/api/paas/v4/", Status.FAIL, "general address"),
        (OPENAI, "https://api.z.ai/api/anthropic", Status.FAIL, "is the Anthropic address"),
        (OPENAI, "https://api.z.ai/api/coding/paas/v4/chat/completions", Status.FAIL, "holds the endpoint"),
        (ANTHROPIC, "https://api.z.ai/api/coding/paas/v4", Status.FAIL, "is an OpenAI address"),
        (ANTHROPIC, "https://api.z.ai/api/anthropic/v1", Status.FAIL, "/v1/v1/messages"),
        (ANTHROPIC, "https://api.z.ai/api/anthropic/v1/messages", Status.FAIL, "holds the endpoint"),
        (ANTHROPIC, "https://open.bigmodel.cn/api/anthropic", Status.WARN, "belongs to bigmodel"),
        (ANTHROPIC, "http://relay.example/api/anthropic", Status.WARN, "not encrypted"),
    ],
)
def test_the_usual_mistakes_are_named_with_what_to_write(
    wire_format: WireFormat, base: str, status: Status, words: str
) -> None:
    found = base_mistake("zai", Plan.CODING, wire_format, base)

    assert found is not None
    assert found.status is status
    assert words in found.message
    assert found.advice


def test_plain_http_on_this_machine_is_fine() -> None:
    assert base_mistake("zai", Plan.CODING, OPENAI, "http://127.0.0.1:8090/api/coding/paas/v4") is None


def test_a_vendor_of_the_configuration_is_held_to_paths_only() -> None:
    assert base_mistake("mine", Plan.CODING, ANTHROPIC, "https://mine.example/paas/v4") is None
    found = base_mistake("mine", Plan.CODING, ANTHROPIC, "https://mine.example/v1")

    assert found is not None
    assert found.advice == "write only what stands before it"


def test_the_start_plans_base_is_named_by_its_own_setting() -> None:
    text = "plan: start-plan\nstartPlan: {jwt: x, upstreamFormat: openai}\n"

    assert of("address", text).message == "startPlan.base: https://zcode.z.ai/api/v1/zcode-plan"


def test_only_addresses_in_use_are_judged() -> None:
    text = "providers: {zai: {openaiBase: https://api.z.ai/api/paas/v4}}\n"

    assert of("address", text).status is Status.GOOD
    assert of("address", f"{text}codingPlan: {{upstreamFormat: openai}}\n").status is Status.FAIL


def test_a_key_may_come_from_a_login_or_a_service(tmp_path: Path) -> None:
    empty = f"store: {{dir: {tmp_path}}}\n"
    service = of("upstream key", f"{empty}credentials: {{address: 'unix:/run/c.sock'}}")
    nobody = of("upstream key", f"{empty}auth: {{mode: oauth}}")
    open_to_all = "server: {host: 0.0.0.0}\n"
    refused = of("client key", empty + open_to_all)
    (tmp_path / "store.db").touch()
    login = of("upstream key", f"{empty}auth: {{mode: oauth}}")
    keys = of("client key", empty + open_to_all)

    assert [found.status for found in (service, nobody, login)] == [Status.GOOD, Status.FAIL, Status.GOOD]
    assert "unix:/run/c.sock" in service.message
    assert "zcode-proxy auth login zai" in (nobody.advice or "")
    assert [refused.status, keys.status] == [Status.FAIL, Status.GOOD]
