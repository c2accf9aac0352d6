"""A request in every dialect that uses about everything that there is, for tests that change it at random places."""

from typing import Any, Final

from services.gateway.translation.requests.responses_reasoning import Carried, sealed
from services.gateway.wire.formats import WireFormat

_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string", "enum": ["Bonn", "Brno"]}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}
_PNG: Final = "iVBORw0KGgo="

OPENAI_RICH: Final[dict[str, Any]] = {
    "model": "glm-5.1",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "name": "ada",
            "content": [
                {"type": "text", "text": "What is this, and how is the weather?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "I should look.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}},
                {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Brno"}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "sun"}]},
        {"role": "user", "content": "Thanks. And tomorrow?"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Tells it", "parameters": _SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": True,
    "temperature": 0.7,
    "top_p": 0.9,
    "max_tokens": 100,
    "stop": ["END", "STOP"],
    "stream": False,
    "n": 1,
    "seed": 7,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "logit_bias": {"50256": -100},
    "response_format": {"type": "text"},
    "reasoning_effort": "low",
    "metadata": {"trace": "t"},
    "user": "user-1",
    "service_tier": "auto",
    "store": False,
}

ANTHROPIC_RICH: Final[dict[str, Any]] = {
    "model": "glm-5.1",
    "max_tokens": 2000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this, and how is the weather?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "I should look.", "signature": "c2ln"},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bonn"}},
                {"type": "tool_use", "id": "t2", "name": "weather", "input": {"city": "Brno", "days": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "rain"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "is_error": False,
                    "content": [{"type": "text", "text": "sun"}],
                },
                {"type": "text", "text": "Thanks. And tomorrow?"},
            ],
        },
    ],
    "tools": [{"name": "weather", "description": "Tells it", "input_schema": _SCHEMA}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "temperature": 1.0,
    "top_p": 0.95,
    "top_k": 40,
    "stop_sequences": ["END", "STOP"],
    "stream": False,
    "metadata": {"user_id": "user-1"},
    "service_tier": "auto",
}

RESPONSES_RICH: Final[dict[str, Any]] = {
    "model": "glm-5.1",
    "instructions": "Be brief.",
    "input": [
        {"role": "developer", "content": "Answer in English."},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "What is this, and how is the weather?"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}", "detail": "low"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "I should look."}],
            "encrypted_content": sealed(Carried("I should look.", "c2ln")),
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Bonn"}'},
        {"type": "function_call", "call_id": "c2", "name": "tell", "namespace": "n", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c3", "name": "note", "input": "rain?"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "noted"},
        {"role": "user", "content": "Thanks. And tomorrow?"},
    ],
    "tools": [
        {"type": "function", "name": "weather", "description": "Tells it", "parameters": _SCHEMA, "strict": True},
        {
            "type": "custom",
            "name": "note",
            "description": "Notes",
            "format": {"type": "grammar", "syntax": "regex", "definition": ".+"},
        },
        {
            "type": "namespace",
            "name": "n",
            "description": "More",
            "tools": [{"type": "function", "name": "tell", "parameters": _SCHEMA}],
        },
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
    "parallel_tool_calls": True,
    "reasoning": {"effort": "low", "summary": "auto"},
    "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA, "strict": True}, "verbosity": "low"},
    "include": ["reasoning.encrypted_content"],
    "temperature": 0.7,
    "top_p": 0.9,
    "max_output_tokens": 100,
    "stream": False,
    "store": False,
    "truncation": "disabled",
    "metadata": {"trace": "t"},
    "user": "user-1",
    "service_tier": "auto",
    "prompt_cache_key": "k",
}

RICH: Final = {
    WireFormat.OPENAI: OPENAI_RICH,
    WireFormat.ANTHROPIC: ANTHROPIC_RICH,
    WireFormat.RESPONSES: RESPONSES_RICH,
}
