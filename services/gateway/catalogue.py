"""
The models that the listing shows, and what is documented of each family's peculiarities: data, not code.

Informational only: a model that is not listed here is forwarded all the same, and configuration adds to the list.
Sources: upstream.md section 8 (the pinned list), translation.md A7 and A8.1 (families), and where else is named.
Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.gateway.wire.formats import WireFormat

_K: Final = 1000
_MAX_OUTPUT: Final = 131_072  # "128K" in the vendor's tables

LONG_CONTEXT_SUFFIX: Final = "[1m]"  # Claude Code's mark for a million tokens of context; mutation M5 strips it


class Model(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the listing; tokens."""

    id: Annotated[str, Meta(description="the model's name as the upstream knows it")]
    context: Annotated[int, Meta(ge=1, description="context window in tokens")] = 200_000
    max_output: Annotated[int, Meta(ge=1, description="longest answer in tokens")] = _MAX_OUTPUT


PINNED: Final = (
    *(
        Model(id=name, context=200 * _K, max_output=_MAX_OUTPUT)
        for name in ("glm-4.5-air", "glm-4.6", "glm-4.6v", "glm-4.7", "glm-5", "glm-5-turbo", "glm-5v-turbo", "glm-5.1")
    ),
    Model(id="glm-5.2", context=1000 * _K, max_output=_MAX_OUTPUT),
)


# What `zcode-proxy env` points clients at where the configuration has no default model.
MAIN_MODEL: Final = "glm-5.2"
SMALL_MODEL: Final = "glm-4.5-air"


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of the models with these `names`, or of all whose name begins with `prefix`.

    That is, the Dialect fields that differ from the route's own.
    """

    prefix: str = ""
    names: frozenset[str] = frozenset()
    anywhere: Mapping[str, object] = {}
    by_format: Mapping[WireFormat, Mapping[str, object]] = {}

    def covers(self, name: str) -> bool:
        """Say whether a model belongs to it."""
        return name in self.names if self.names else name.startswith(self.prefix)


# In order: where two prefixes match, the later one wins.
FAMILIES: Final = (
    Family(
        prefix="glm-4.5",
        anywhere={"max_output_tokens": 98_304},
        # tool_stream came with 4.6.
        by_format={WireFormat.OPENAI: {"tool_stream": False}},
    ),
    Family(prefix="glm-4.6", anywhere={"max_output_tokens": _MAX_OUTPUT}),
    Family(prefix="glm-4.7", anywhere={"max_output_tokens": _MAX_OUTPUT}),
    Family(prefix="glm-5", anywhere={"max_output_tokens": _MAX_OUTPUT}),
    Family(
        prefix="glm-5.2",
        # The first to take reasoning_effort, and every name of it.
        by_format={
            WireFormat.OPENAI: {"efforts": ("minimal", "low", "medium", "high", "xhigh", "max")},
            WireFormat.ANTHROPIC: {"efforts": ("low", "medium", "high", "xhigh", "max")},
        },
    ),
    # Any other effort is error 1210, and thinking {type: disabled} is refused.
    Family(
        prefix="glm-5.3",
        anywhere={"efforts": ("low", "high", "max"), "strict_efforts": True, "thinking_can_be_disabled": False},
    ),
    # Z.AI's chat endpoint answers 1210 to pictures for these (farion1231/cc-switch#7142); its Anthropic endpoint has
    # them described (zai-org/feedback#680). By whole names, as later members may see: glm-5.3-flash does.
    Family(
        names=frozenset(
            {
                *("glm-4.5", "glm-4.5-x", "glm-4.5-air", "glm-4.5-airx", "glm-4.5-flash", "glm-4.6"),
                *(
                    "glm-4.7",
                    "glm-4.7-flash",
                    "glm-4.7-flashx",
                    "glm-5",
                    "glm-5-turbo",
                    "glm-5.1",
                    "glm-5.2",
                    "glm-5.3",
                ),
            }
        ),
        by_format={WireFormat.OPENAI: {"images": False}},
    ),
)


def family_changes(model: str, wire_format: WireFormat) -> dict[str, object]:
    """Return the Dialect fields in which a model's family differs from its route."""
    name = plain_id(model)
    changes: dict[str, object] = {}
    for family in FAMILIES:
        if family.covers(name):
            changes |= {**family.anywhere, **family.by_format.get(wire_format, {})}
    return changes


def plain_id(model: str) -> str:
    """Return a model's name as the catalogue spells it: without the long-context mark, in lower case."""
    return model.removesuffix(LONG_CONTEXT_SUFFIX).lower()


class Catalogue:
    """The pinned models with the configured ones added; a configured id replaces a pinned one in its place."""

    def __init__(self, configured: Iterable[Model] = ()) -> None:
        self._models = {model.id: model for model in (*PINNED, *configured)}
        self._by_plain_id = {plain_id(model.id): model for model in self._models.values()}

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def find(self, model: str) -> Model | None:
        """Return the entry for a name as clients write it, in any case and with or without `[1m]`."""
        return self._by_plain_id.get(plain_id(model))

    def suggest(self, model: str, limit: int = 3) -> tuple[str, ...]:
        """Return the ids nearest to a name that is not listed, best first; for error messages."""
        close = get_close_matches(plain_id(model), list(self._by_plain_id), n=limit, cutoff=0.6)
        return tuple(self._by_plain_id[name].id for name in close)
