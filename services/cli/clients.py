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


def _claude_code(target: Target) -> Guide:
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
        ),
        remarks=(
            "ANTHROPIC_API_KEY must not be set besides: Claude Code would ask which of the two to use.",
            "Models think for a minute or two before the first word; hence the long timeout.",
            f"For a million tokens of context append [1m], as in {target.model}[1m]; the gateway strips it again.",
        ),
    )


def _codex(target: Target) -> Guide:
    content = "\n".join(
        (
            f"model = {json.dumps(target.model)}",
            'model_provider = "zcode"',
            "",
            "[model_providers.zcode]",
            'name = "zcode-proxy"',
            f"base_url = {json.dumps(target.url + '/v1')}",
            f"env_key = {json.dumps(target.key_variable)}",
            'wire_api = "chat"',
        )
    )
    return Guide(
        title="Codex",
        variables=((target.key_variable, target.key),),
        file="~/.codex/config.toml",
        content=content,
        remarks=(
            "Works with old versions of Codex only: since February 2026 (openai/codex#10157) Codex speaks nothing but",
            'the Responses API and refuses wire_api = "chat". This gateway serves Chat Completions and Messages, not',
            "Responses (/v1/responses answers 404). With a current Codex use another client, such as OpenCode.",
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
            "Cline reads no variables; set these in its settings:",
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
        remarks=(f"Chat Completions only, with a model such as {target.model}; the Responses API is not served.",),
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
    lines += [f"# {remark}" for remark in guide.remarks]
    return "\n".join(lines) + "\n"
