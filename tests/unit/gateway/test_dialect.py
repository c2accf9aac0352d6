"""A route's capabilities are one record that the configuration can change field by field."""

import msgspec
import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect, MidSystem, Thinking, ToolChoice


def test_a_plain_server_can_do_everything_that_is_standard() -> None:
    plain = Dialect()

    assert (ToolChoice.FULL, Thinking.NONE, MidSystem.NATIVE) == (plain.tool_choice, plain.thinking, plain.mid_system)
    assert plain.stream_options
    assert plain.json_schema


@pytest.mark.parametrize("dialect", [GLM_OPENAI, GLM_ANTHROPIC])
def test_what_is_known_of_glm(dialect: Dialect) -> None:
    assert (ToolChoice.AUTO_ONLY, Thinking.GLM, 128, 1.0) == (
        dialect.tool_choice,
        dialect.thinking,
        dialect.max_tools,
        dialect.temperature_max,
    )
    assert not dialect.json_schema
    assert dialect.reasoning_field


def test_the_configuration_writes_camel_case_and_knows_every_field() -> None:
    read = msgspec.convert({"toolChoice": "auto_only", "stopLimit": None, "midSystem": "hoist"}, Dialect)

    assert Dialect(tool_choice=ToolChoice.AUTO_ONLY, stop_limit=None, mid_system=MidSystem.HOIST) == read
    with pytest.raises(msgspec.ValidationError, match="toolChoise"):
        msgspec.convert({"toolChoise": "auto_only"}, Dialect)
