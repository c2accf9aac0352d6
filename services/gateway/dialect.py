"""
What an upstream route can do: one record, so that a vendor's peculiarity is a value and never an `if` on a name.

Sources: translation.md A1-A5, A8, A15. Every field can be overridden per provider, plan and model in configuration.
"""

from enum import Enum

import msgspec


class ToolChoice(Enum):
    """Which values of tool_choice the upstream honours."""

    FULL = "full"
    AUTO_ONLY = "auto_only"


class Thinking(Enum):
    """How the upstream is told to think, in its own dialect."""

    NONE = "none"  # no such parameter
    # OpenAI wire: thinking {type} and, where listed, reasoning_effort; Anthropic wire: thinking {type} and effort
    GLM = "glm"
    EFFORT = "effort"  # OpenAI wire: reasoning_effort; Anthropic wire: adaptive thinking and output_config.effort
    BUDGET = "budget"  # Anthropic wire: thinking {type, budget_tokens}


class MidSystem(Enum):
    """What becomes of a system message that is not at the head of the conversation."""

    NATIVE = "native"  # kept in place with role system
    REMINDER = "reminder"  # a user message wrapped in <system-reminder>
    HOIST = "hoist"  # moved to the head; breaks the prompt prefix, so never a default


class Dialect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """Capabilities of one upstream route. Defaults describe a plain, fully capable server."""

    tool_choice: ToolChoice = ToolChoice.FULL
    parallel_tool_calls: bool = True  # understands parallel_tool_calls / disable_parallel_tool_use
    max_tools: int = 0  # 0: no limit
    strict_tools: bool = True  # understands `strict` on a tool
    deferred_tools: bool = True  # Anthropic wire: understands `defer_loading` and tool_reference
    non_object_inputs: bool = True  # Anthropic wire: takes a tool_use input that is no object, or says why not
    tool_stream: bool = False  # wants tool_stream:true to stream arguments in fragments
    tool_name_max: int = 64
    schema_combinators: bool = True  # accepts anyOf, oneOf, allOf at the top of a tool's schema
    tool_result_images: bool = False  # accepts images inside a tool message
    tool_calls_without_tools: bool = True  # accepts a history of tool calls when no tools are declared
    max_tokens_field: str = "max_tokens"
    max_output_tokens: int = 0  # 0: unknown; never used to clamp, only to inform
    stop_limit: int | None = 4  # stop sequences beyond this many are scanned for locally; None: no limit
    stream_options: bool = True
    json_schema: bool = True  # response_format json_schema / output_config.format
    json_object: bool = True  # response_format json_object
    thinking: Thinking = Thinking.NONE
    thinking_can_be_disabled: bool = True
    efforts: tuple[str, ...] = ("low", "medium", "high")  # values of effort it accepts; others move to the nearest
    strict_efforts: bool = False  # refuses other values of effort, instead of making the best of them
    reasoning_field: str | None = None  # name of the message field that carries reasoning, None: not accepted back
    verify_signatures: bool = False  # refuses thinking blocks whose signature it did not issue
    inline_think_tags: bool = False  # answers may hold <think>…</think> at the start of the text
    developer_role: bool = False
    mid_system: MidSystem = MidSystem.NATIVE
    user_field: str | None = "user"
    user_id_min: int = 1  # a shorter or longer user id is sent as its hash
    user_id_max: int = 128
    temperature_max: float = 2.0
    zero_temperature_is_do_sample: bool = False  # temperature 0 is written as do_sample:false
    top_p_min: float = 0.0
    top_k: bool = False
    images: bool = True
    images_in_words: bool = False  # OpenAI wire: one that cannot be seen is said to be so, in its place, not refused
    image_urls: bool = True
    files: bool = False  # PDF documents
    empty_texts: bool = True  # OpenAI wire: takes parts whose text is empty
    prefill: bool = False  # continues a trailing assistant message
    empty_tool_result: str = ""  # what stands for an empty tool result
    billing_header: bool = True  # a client's x-anthropic-billing-header block may be sent on


GLM_OPENAI = Dialect(
    tool_choice=ToolChoice.AUTO_ONLY,
    parallel_tool_calls=False,
    max_tools=128,
    strict_tools=False,
    tool_stream=True,
    stop_limit=1,
    json_schema=False,
    thinking=Thinking.GLM,
    efforts=(),
    reasoning_field="reasoning_content",
    user_field="user_id",
    user_id_min=6,
    temperature_max=1.0,
    zero_temperature_is_do_sample=True,
    top_p_min=0.01,
    images_in_words=True,
    empty_texts=False,
    billing_header=False,
)

GLM_ANTHROPIC = Dialect(
    tool_choice=ToolChoice.AUTO_ONLY,
    max_tools=128,
    strict_tools=False,
    deferred_tools=False,
    non_object_inputs=False,
    tool_name_max=64,
    tool_result_images=True,
    stop_limit=None,
    json_schema=False,
    json_object=False,
    thinking=Thinking.GLM,
    efforts=("low", "medium", "high", "max"),
    reasoning_field="thinking",
    temperature_max=1.0,
    top_p_min=0.01,
    top_k=True,
    mid_system=MidSystem.REMINDER,
    user_field="metadata.user_id",
    user_id_max=256,
    prefill=True,
)
