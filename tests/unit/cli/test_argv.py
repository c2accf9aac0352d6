import pytest

from services.cli.argv import refusal, secret_option


@pytest.mark.parametrize(
    ("argv", "option"),
    [
        (["serve", "--api-key", "canary"], "--api-key"),
        (["serve", "--api-key=canary"], "--api-key"),
        (["serve", "--apikey=can\nary"], "--apikey"),
        (["serve", "--proxy-api-key=canary"], "--proxy-api-key"),
        (["serve", "--demo", "--Token", "canary"], "--Token"),
        (["serve", "-key=canary"], "-key"),
        (["auth", "login", "--start-plan-jwt", "canary"], "--start-plan-jwt"),
        (["serve", "config.yaml", "--port", "1"], None),
        (["env", "claude-code", "--json"], None),
        (["doctor", "--", "--api-key"], None),
        (["serve", "keys.yaml", "--keyring-file=x"], None),
        ([], None),
    ],
)
def test_options_that_would_carry_a_secret_are_recognised_by_name(argv: list[str], option: str | None) -> None:
    assert secret_option(argv) == option


def test_the_refusal_says_where_a_key_goes_and_repeats_none() -> None:
    text = refusal("--api-key")

    assert text.startswith("--api-key: keys are not taken on the command line")
    assert "ZCODE_API_KEY_FILE" in text
