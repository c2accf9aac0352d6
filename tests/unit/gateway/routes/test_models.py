"""Two shapes of one listing, and Anthropic's pages of it."""

from typing import Any

import pytest

from services.gateway.catalogue import Catalogue, Model
from services.gateway.errors import BadRequest
from services.gateway.routes import models

_ALL = list(Catalogue())


def _page(**query: str) -> dict[str, Any]:
    return models._page(_ALL, query)


def test_openais_row() -> None:
    assert {
        "id": "a/b",
        "object": "model",
        "created": 0,
        "owned_by": "z-ai",
        "context_window": 5,
        "max_output_tokens": 3,
    } == models._openai(Model(id="a/b", context=5, max_output=3))


def test_anthropics_row() -> None:
    row = models._anthropic(Model(id="glm-5.2", context=5, max_output=3))

    assert ("model", "glm-5.2", "GLM 5.2", 5, 3) == (
        row["type"],
        row["id"],
        row["display_name"],
        row["max_input_tokens"],
        row["max_tokens"],
    )


def test_pages_forward_cover_everything_once() -> None:
    seen: list[str] = []
    query: dict[str, str] = {"limit": "4"}
    while True:
        page = _page(**query)
        seen += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        query["after_id"] = page["last_id"]

    assert [model.id for model in _ALL] == seen


def test_pages_backward_cover_everything_once() -> None:
    seen: list[str] = []
    query: dict[str, str] = {"limit": "4", "before_id": _ALL[-1].id}
    while True:
        page = _page(**query)
        seen = [row["id"] for row in page["data"]] + seen
        if not page["has_more"]:
            break
        query["before_id"] = page["first_id"]

    assert [model.id for model in _ALL[:-1]] == seen


def test_an_empty_page_has_no_ends() -> None:
    page = _page(after_id=_ALL[-1].id)

    assert ([], False, None, None) == (page["data"], page["has_more"], page["first_id"], page["last_id"])


@pytest.mark.parametrize("limit", ["1", "20", "999", "1000"])
def test_limits_that_are_taken(limit: str) -> None:
    assert int(limit) == models._limit(limit)


def test_without_a_limit_it_is_anthropics_twenty() -> None:
    assert 20 == models._limit(None)


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.0", "", " 5", "x", "\u0665", "9" * 5000])
def test_limits_that_are_not(limit: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        models._limit(limit)

    assert (400, "limit") == (refusal.value.fault.status, refusal.value.fault.param)


@pytest.mark.parametrize("param", ["after_id", "before_id"])
def test_a_cursor_that_is_not_listed_is_named(param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        _page(**{param: "nobody"})

    assert param == refusal.value.fault.param
