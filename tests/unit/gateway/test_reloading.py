"""What is put in force of changed settings, and what is not."""

from prometheus_client import CollectorRegistry

from services.chassis.secret import Secret
from services.chassis.settings import Loaded
from services.chassis.settings_document import Fault, Place
from services.gateway.errors import Unauthenticated
from services.gateway.guard import ANONYMOUS
from services.gateway.reloading import Reloading
from services.gateway.settings import AuthSettings, GatewaySettings, LimitSettings


def _settings(key: str | None, **more: object) -> GatewaySettings:
    auth = AuthSettings(api_key=Secret("upstream"), proxy_api_key=Secret(key) if key else None)
    return GatewaySettings(auth=auth, **more)  # type: ignore[arg-type]


class _Bench:
    def __init__(self, settings: GatewaySettings) -> None:
        self._registry = CollectorRegistry()
        self.reloading = Reloading(settings, self._registry)

    def accepts(self, key: str) -> bool:
        try:
            return self.reloading.keys.caller_of(key.encode(), "10.0.0.1") is not ANONYMOUS
        except Unauthenticated:
            return False

    def number(self, name: str) -> float | None:
        return self._registry.get_sample_value(name)


def test_another_key_is_in_force_at_once_and_needs_no_restart() -> None:
    bench = _Bench(_settings("old"))
    bench.reloading.take(Loaded(value=_settings("new")))

    assert bench.accepts("new")
    assert not bench.accepts("old")
    assert (1, 0) == (bench.number("zcode_config_reload_success"), bench.number("zcode_config_restart_needed"))


def test_a_faulty_change_leaves_everything_as_it_was_until_it_is_mended() -> None:
    bench = _Bench(_settings("old"))
    fault = Fault(place=Place(kind="default"), path="limits", message="is wrong")
    bench.reloading.take(Loaded(value=_settings("new"), faults=(fault,)))

    assert bench.accepts("old")
    assert not bench.accepts("new")
    assert 0 == bench.number("zcode_config_reload_success")

    bench.reloading.take(Loaded(value=_settings("new")))
    assert 1 == bench.number("zcode_config_reload_success")
    assert bench.accepts("new")


def test_what_needs_a_restart_is_said_and_the_keys_change_all_the_same() -> None:
    bench = _Bench(_settings("old"))
    bench.reloading.take(Loaded(value=_settings("new", limits=LimitSettings(streams=7))))

    assert bench.accepts("new")
    assert 1 == bench.number("zcode_config_restart_needed")


def test_without_a_key_nobody_from_elsewhere_is_served() -> None:
    bench = _Bench(_settings("old"))
    bench.reloading.take(Loaded(value=_settings(None)))

    assert not bench.accepts("old")
