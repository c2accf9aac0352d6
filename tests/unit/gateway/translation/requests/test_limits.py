"""What a request may have is what the settings say it may."""

import msgspec

from services.gateway.settings import LimitSettings
from services.gateway.translation.requests.limits import RequestLimits


def test_without_settings_the_limits_are_those_of_the_settings_defaults() -> None:
    settings = LimitSettings()
    names = [field.name for field in msgspec.structs.fields(RequestLimits)]

    assert [getattr(RequestLimits(), name) for name in names] == [getattr(settings, name) for name in names]
