"""The table of login providers."""

import pytest

from services.credentials.oauth.vendors import VENDORS


@pytest.mark.parametrize("name", ["zai", "bigmodel"])
def test_every_provider_has_a_callback_path_of_its_own(name: str) -> None:
    assert VENDORS[name].callback_path == f"/oauth/callback/{name}"
