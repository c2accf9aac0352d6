import msgspec
import pytest

from services.gateway.catalogue import (
    FAMILIES,
    MAIN_MODEL,
    PINNED,
    SMALL_MODEL,
    Catalogue,
    Model,
    family_changes,
    plain_id,
)
from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.wire.formats import WireFormat


def test_the_pinned_list_is_the_one_of_the_brief() -> None:
    assert {model.id: (model.context, model.max_output) for model in PINNED} == {
        **dict.fromkeys(
            ("glm-4.5-air", "glm-4.6", "glm-4.6v", "glm-4.7", "glm-5", "glm-5-turbo", "glm-5v-turbo", "glm-5.1"),
            (200_000, 131_072),
        ),
        "glm-5.2": (1_000_000, 131_072),
    }


def test_the_models_that_clients_are_pointed_at_are_listed() -> None:
    assert {MAIN_MODEL, SMALL_MODEL} <= {model.id for model in PINNED}


def test_a_model_is_found_in_any_case_and_with_the_long_context_mark() -> None:
    catalogue = Catalogue()

    assert catalogue.find("GLM-5.2[1m]") is catalogue.find("glm-5.2") is PINNED[-1]
    assert catalogue.find("glm-9") is None
    assert plain_id("GLM-5.2[1m]") == "glm-5.2"


def test_configured_models_come_after_the_pinned_ones_and_replace_their_namesakes_in_place() -> None:
    own = Model(id="glm-4.6", context=1), Model(id="My-Model")
    listed = list(Catalogue(own))

    assert [model.id for model in listed] == [*(model.id for model in PINNED), "My-Model"]
    assert listed[1] is own[0]
    assert Catalogue(own).find("my-model") is own[1]


@pytest.mark.parametrize(
    ("asked", "suggested"),
    [("glm5.2", "glm-5.2"), ("glm-4.6-air", "glm-4.5-air"), ("GLM-5-Trubo[1m]", "glm-5-turbo"), ("glm-5.3", "glm-5.2")],
)
def test_the_nearest_listed_model_is_suggested(asked: str, suggested: str) -> None:
    assert suggested in Catalogue().suggest(asked)


def test_no_more_is_suggested_than_asked_for_and_nothing_for_a_stranger() -> None:
    assert len(Catalogue().suggest("glm-5.3", limit=1)) == 1
    assert Catalogue().suggest("claude-sonnet-4-5") == ()


@pytest.mark.parametrize(
    ("model", "wire_format", "changes"),
    [
        ("glm-4.5-air", WireFormat.OPENAI, {"max_output_tokens": 98_304, "tool_stream": False, "images": False}),
        ("glm-4.5-air", WireFormat.ANTHROPIC, {"max_output_tokens": 98_304}),
        ("glm-4.6", WireFormat.OPENAI, {"max_output_tokens": 131_072, "images": False}),
        ("glm-4.6", WireFormat.ANTHROPIC, {"max_output_tokens": 131_072}),
        ("glm-4.6v", WireFormat.OPENAI, {"max_output_tokens": 131_072}),
        (
            "glm-5.2[1m]",
            WireFormat.OPENAI,
            {
                "max_output_tokens": 131_072,
                "efforts": ("minimal", "low", "medium", "high", "xhigh", "max"),
                "images": False,
            },
        ),
        (
            "GLM-5.3-flash",
            WireFormat.ANTHROPIC,
            {
                "max_output_tokens": 131_072,
                "efforts": ("low", "high", "max"),
                "strict_efforts": True,
                "thinking_can_be_disabled": False,
            },
        ),
        ("gpt-5", WireFormat.OPENAI, {}),
    ],
)
def test_what_is_documented_of_a_family(model: str, wire_format: WireFormat, changes: dict[str, object]) -> None:
    assert family_changes(model, wire_format) == changes


def test_a_picture_is_kept_from_none_but_models_that_see_none() -> None:
    for model in ("glm-4.5v", "glm-4.6v", "glm-5v-turbo", "glm-5.3-flash", "glm-5.3v", "glm-6", "GLM-5.4"):
        assert family_changes(model, WireFormat.OPENAI).get("images") is None
    for model in ("GLM-5.2[1m]", "glm-4.5-air", "glm-5.3"):
        assert family_changes(model, WireFormat.OPENAI)["images"] is False


def test_families_name_fields_that_a_dialect_has() -> None:
    known = {field.name for field in msgspec.structs.fields(Dialect)}
    for family in FAMILIES:
        for changes in (family.anywhere, *family.by_format.values()):
            assert changes.keys() <= known
            for base in (GLM_OPENAI, GLM_ANTHROPIC):
                changed = msgspec.structs.replace(base, **changes)

                assert msgspec.convert(msgspec.to_builtins(changed), Dialect) == changed
