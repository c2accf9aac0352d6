"""A record in memory prints no secret."""

from services.credentials.records import Secrets


def test_secrets_print_as_what_is_there_and_not_as_what_it_is() -> None:
    secrets = Secrets(api_key="canary-a", start_plan_jwt="canary-b")

    assert repr(secrets) == "Secrets(api_key=…, start_plan_jwt=…)"
    assert f"{secrets} {[secrets]!r}".count("canary") == 0
