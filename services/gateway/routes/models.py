"""
`GET /v1/models` and `GET /v1/models/{id}`: one path, two shapes, chosen by the headers that Anthropic clients send.

The listing is informational: a model that is not on it is forwarded all the same.
"""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.gateway.catalogue import Catalogue, Model
from services.gateway.errors import BadRequest, NotFound
from services.gateway.rescue import speaks_anthropic
from services.gateway.translation.own_faults import bad_request, not_found_model

_RELEASED: Final = "1970-01-01T00:00:00Z"  # the vendor publishes no dates; the API documents the epoch as "unknown"
_RELEASED_UNIX: Final = 0
_OWNER: Final = "z-ai"
_MOST: Final = 1000

_AnyRequest = Request[Any, Any, Any]


def _openai(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": _RELEASED_UNIX,
        "owned_by": _OWNER,
        "context_window": model.context,
        "max_output_tokens": model.max_output,
    }


def _anthropic(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id.upper().replace("GLM-", "GLM "),
        "created_at": _RELEASED,
        "lifecycle": "active",
        "max_input_tokens": model.context,
        "max_tokens": model.max_output,
    }


def _limit(text: str | None) -> int:
    if text is None:
        return 20
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:5]) <= _MOST:
        raise BadRequest(bad_request(f"limit: must be a whole number from 1 to {_MOST}", "limit"))
    return int(text)


def _position(ids: list[str], cursor: str, param: str) -> int:
    try:
        return ids.index(cursor)
    except ValueError:
        raise BadRequest(bad_request(f"{param}: no such model in the listing", param)) from None


def _page(models: list[Model], query: Any) -> dict[str, Any]:
    """Cut Anthropic's page out of the listing: `limit`, then `after_id` or `before_id`."""
    limit, after, before = _limit(query.get("limit")), query.get("after_id"), query.get("before_id")
    ids = [model.id for model in models]
    if before is not None:
        end = _position(ids, before, "before_id")
        begin = max(0, end - limit)
        more = begin > 0
    else:
        begin = 0 if after is None else _position(ids, after, "after_id") + 1
        end = min(len(models), begin + limit)
        more = end < len(models)
    page = models[begin:end]
    return {
        "data": [_anthropic(model) for model in page],
        "has_more": more,
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }


def _json(body: dict[str, Any]) -> Response[bytes]:
    return Response(msgspec.json.encode(body), media_type="application/json")


@get("/v1/models", sync_to_thread=False)
def list_models(request: _AnyRequest, catalogue: NamedDependency[Catalogue]) -> Response[bytes]:
    """List the models in the caller's shape."""
    models = list(catalogue)
    if speaks_anthropic(request.scope["state"]["inbound"].headers):
        return _json(_page(models, request.query_params))
    return _json({"object": "list", "data": [_openai(model) for model in models]})


@get("/v1/models/{model_id:path}", sync_to_thread=False)
def show_model(request: _AnyRequest, model_id: FromPath[str], catalogue: NamedDependency[Catalogue]) -> Response[bytes]:
    """Show one model in the caller's shape; ids with slashes work."""
    name = model_id.lstrip("/")
    model = catalogue.find(name)
    if model is None:
        raise NotFound(not_found_model(name, catalogue.suggest(name)))
    anthropic = speaks_anthropic(request.scope["state"]["inbound"].headers)
    return _json(_anthropic(model) if anthropic else _openai(model))
