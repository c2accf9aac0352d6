"""
How each client is told of the gateway: environment variables, a piece of a configuration file, remarks.

A table of functions, one per client. Keys are never in here: a `Word` refers to the variable or file that holds one.
Pure.
"""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Final

import msgspec


class Word(msgspec.Struct, frozen=True):
    """A value for a variable: what it says, and how a POSIX shell must spell it."""

    plain: str
    shell: str


def literal(text: str) -> Word:
    """Return a value that the shell must not touch."""
    return Word(text, shlex.quote(text))


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has to be told."""

    url: str  # of the gateway, without a path and without a trailing slash
    key: Word
    key_variable: str  # where clients that read a variable by name find the key
    model: str
    small_model: str
    context: int
    max_output: int


class Guide(msgspec.Struct, frozen=True, kw_only=True):
    """What to set for one client."""

    title: str
    variables: tuple[tuple[str, Word], ...] = ()
    file: str | None = None  # where `content` belongs
    content: str | None = None
    remarks: tuple[str, ...] = ()


_CLAUDE_CODES_LARGE: Final = 1_000_000  # tokens that Claude Code takes its best model to hold, and
_CLAUDE_CODES_USUAL: Final = 200_000  # any other one


def _claude_code(target: Target) -> Guide:
    holds: tuple[tuple[str, Word], ...] = ()
    if target.context < _CLAUDE_CODES_LARGE:
        holds += (("CLAUDE_CODE_DISABLE_1M_CONTEXT", literal("1")),)
    if target.context < _CLAUDE_CODES_USUAL:
        holds += (("CLAUDE_CODE_AUTO_COMPACT_WINDOW", literal(str(target.context))),)
    return Guide(
        title="Claude Code",
        variables=(
            ("ANTHROPIC_BASE_URL", literal(target.url)),
            ("ANTHROPIC_AUTH_TOKEN", target.key),
            ("ANTHROPIC_DEFAULT_OPUS_MODEL", literal(target.model)),
            ("ANTHROPIC_DEFAULT_SONNET_MODEL", literal(target.model)),
            ("ANTHROPIC_DEFAULT_HAIKU_MODEL", literal(target.small_model)),
            ("API_TIMEOUT_MS", literal("600000")),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", literal("1")),
            *holds,
        ),
        remarks=(
            "ANTHROPIC_API_KEY must not be set besides: Claude Code would ask which of the two to use.",
            "Models think for a minute or two before the first word; hence the long timeout.",
            "Claude Code marks a model that holds a million tokens with [1m]; the gateway strips the mark again.",
        ),
    )


def _codex(target: Target) -> Guide:
    content = "\n".join(
        (
            f"model = {json.dumps(target.model)}",
            'model_provider = "zcode"',
            f"model_context_window = {target.context}",
            'web_search = "disabled"',
            "",
            "[model_providers.zcode]",
            'name = "zcode-proxy"',
            f"base_url = {json.dumps(target.url + '/v1')}",
            f"env_key = {json.dumps(target.key_variable)}",
            'wire_api = "responses"',
            "request_max_retries = 0",
        )
    )
    return Guide(
        title="Codex",
        variables=((target.key_variable, target.key),),
        file="~/.codex/config.toml",
        content=content,
        remarks=(
            "Codex says once that it has no metadata for the model: it does not know it, which does no harm.",
            "request_max_retries: the gateway itself tries again what may be tried again.",
            "Its web search runs at OpenAI, so it is turned off; the gateway would leave it out in any case.",
            'An old Codex, from before February 2026, may say wire_api = "chat" instead.',
        ),
    )


def _opencode(target: Target) -> Guide:
    models = {
        name: {"limit": {"context": target.context, "output": target.max_output}} if name == target.model else {}
        for name in dict.fromkeys((target.model, target.small_model))
    }
    config = {
        "$schema": "https://opencode.ai/config.json",
        "provider": {
            "zcode": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "zcode-proxy",
                "options": {"baseURL": f"{target.url}/v1", "apiKey": f"{{env:{target.key_variable}}}"},
                "models": models,
            }
        },
        "model": f"zcode/{target.model}",
        "small_model": f"zcode/{target.small_model}",
    }
    return Guide(
        title="OpenCode",
        variables=((target.key_variable, target.key),),
        file="opencode.json",
        content=json.dumps(config, indent=2),
        remarks=("The Anthropic format works as well: npm @ai-sdk/anthropic with the same baseURL.",),
    )


def _cline(target: Target) -> Guide:
    return Guide(
        title="Cline",
        remarks=(
            "Cline reads no variables. Its command line is told so:",
            f"  cline auth --provider openai-compatible --baseurl {shlex.quote(target.url + '/v1')} \\",
            f"    --modelid {shlex.quote(target.model)} --apikey {target.key.shell}",
            "In the editor, set these:",
            "  API Provider: OpenAI Compatible",
            f"  Base URL: {target.url}/v1",
            f"  API Key: {target.key.plain}",
            f"  Model ID: {target.model}",
            f"  Context Window Size: {target.context}",
            f"  Max Output Tokens: {target.max_output}",
        ),
    )


def _openai(target: Target) -> Guide:
    return Guide(
        title="OpenAI SDKs and what is built on them",
        variables=(("OPENAI_BASE_URL", literal(f"{target.url}/v1")), ("OPENAI_API_KEY", target.key)),
        remarks=(
            f"Chat Completions and Responses, with a model such as {target.model}. Nothing is stored: a request with",
            "previous_response_id is refused, and the whole conversation is sent in `input` instead.",
        ),
    )


CLIENTS: Final[Mapping[str, Callable[[Target], Guide]]] = {
    "claude-code": _claude_code,
    "codex": _codex,
    "opencode": _opencode,
    "cline": _cline,
    "openai": _openai,
}


def shell_script(guide: Guide) -> str:
    """Write a guide so that `eval "$(…)"` sets the variables; all else is comments."""
    lines = [f"# {guide.title}"]
    lines += [f"export {name}={word.shell}" for name, word in guide.variables]
    if guide.content is not None:
        lines += ["#", f"# {guide.file}:", *(f"#   {line}".rstrip() for line in guide.content.splitlines())]
    # A value in a remark may have lines of its own: what follows the first would be run.
    lines += [f"# {line}" for remark in guide.remarks for line in remark.splitlines()]
    return "\n".join(lines) + "\n"
