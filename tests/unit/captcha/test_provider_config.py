"""The provider's configuration: asked for once a minute, once for all, and never a reason to fail."""

import asyncio
import json

import pytest

from services.captcha.provider_config import FRESH, RETRY, ProviderConfigs, Scene
from tests.support.clock import ManualClock

URL = "http://provider.invalid/configs"
SCENE = Scene(region="cn", prefix="abc", scene_id="scene")


def body(code: object = 0, **captcha: object) -> bytes:
    fields = {"enabled": True, "prefix": "abc", "region": "cn", "sceneId": "scene", "skip_model_request": False}
    return json.dumps({"code": code, "data": {"configs": {"captcha": fields | captcha}}}).encode()


class Provider:
    """Answers from a list, the last one for ever; counts."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def fetch(self, url: str) -> bytes | None:
        self.asked.append(url)
        await asyncio.sleep(0)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def configs(provider: Provider, clock: ManualClock | None = None, fallback: Scene | None = None) -> ProviderConfigs:
    clock = clock or ManualClock()
    return ProviderConfigs(URL, provider.fetch, app_version="3.2.2", fallback=fallback, clock=clock)


async def test_it_is_read_and_kept_for_a_minute() -> None:
    provider, clock = Provider(body()), ManualClock()
    found = configs(provider, clock)
    first = await found.current()
    clock.advance(FRESH - 1)
    await found.current()

    assert (first.asks, first.scene, first.source) == (True, SCENE, "provider")
    assert provider.asked == [URL + "?app_version=3.2.2"]
    clock.advance(1)
    await found.current()
    assert len(provider.asked) == 2


async def test_all_who_want_it_at_once_ask_once() -> None:
    provider = Provider(body())
    found = configs(provider)
    await asyncio.gather(*(found.current() for _ in range(20)))

    assert len(provider.asked) == 1


async def test_an_unknown_version_is_asked_without_one() -> None:
    provider = Provider(body(3001), body())
    found = await configs(provider).current()

    assert (found.source, provider.asked) == ("provider", [URL + "?app_version=3.2.2", URL])


@pytest.mark.parametrize(("captcha", "asks"), [({"enabled": False}, False), ({"skip_model_request": True}, False)])
async def test_a_provider_that_wants_none_is_believed(captcha: dict[str, object], asks: bool) -> None:
    found = await configs(Provider(body(**captcha))).current()

    assert (found.asks, found.scene) == (asks, SCENE)


@pytest.mark.parametrize("answer", [None, b"<html>", b"{}", b"[]", body(500), b'{"code":0,"data":{"configs":{}}}'])
async def test_without_an_answer_the_settings_count(answer: bytes | None) -> None:
    provider, clock = Provider(answer), ManualClock()
    with_settings = configs(provider, clock, fallback=SCENE)
    found = await with_settings.current()

    assert (found.asks, found.scene, found.source) == (False, SCENE, "settings")
    assert (await configs(Provider(answer)).current()).source == "nothing"
    clock.advance(RETRY - 1)
    asked = len(provider.asked)
    await with_settings.current()
    assert len(provider.asked) == asked


async def test_what_was_said_last_outlives_a_failure() -> None:
    provider, clock = Provider(body(), None), ManualClock()
    found = configs(provider, clock)
    await found.current()
    clock.advance(FRESH)
    later = await found.current()

    assert (later.asks, later.scene, later.source) == (True, SCENE, "last")
    assert found.known == later


async def test_who_goes_away_takes_no_answer_along() -> None:
    provider = Provider(body())
    found = configs(provider)
    leaver = asyncio.ensure_future(found.current())
    await asyncio.sleep(0)
    stayer = asyncio.ensure_future(found.current())
    leaver.cancel()

    assert (await stayer).source == "provider"
    await found.aclose()
