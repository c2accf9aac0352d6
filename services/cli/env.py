"""`zcode-proxy env <client>`: prints a client's settings."""

import shlex
from enum import Enum
from typing import Annotated

import typer

from services.chassis.settings import Loaded
from services.chassis.settings_document import Place
from services.cli import clients
from services.cli.clients import Target, Word, literal
from services.cli.configuration import load, report
from services.cli.models import ConfigOption
from services.cli.output import as_json, say
from services.gateway import catalogue
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import EVERYWHERE, LOOPBACK, bind_host

Client = Enum("Client", {name.upper().replace("-", "_"): name for name in clients.CLIENTS})  # type: ignore[misc]

# Never ZCODE_PROXY_API_KEY: a gateway started later in the same shell would take it for its own and open up to others.
KEY_VARIABLE = "ZCODE_CLIENT_KEY"


def env(
    client: Annotated[Client, typer.Argument(help="Whose settings to print.", show_default=False)],
    *,
    url: Annotated[
        str | None, typer.Option("--url", help="Where the gateway is, if not on this machine.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Print what a client must be told to use the gateway.

    \b
      eval "$(zcode-proxy env claude-code)" && claude
      zcode-proxy env opencode
      zcode-proxy env openai --url https://gateway.example --json

    No key is printed: the output refers to the variable or file that holds it.
    """
    loaded = load(config)
    report(loaded, warnings=False)
    guide = clients.CLIENTS[client.value](target_of(loaded, url))
    if json:
        as_json(
            {
                "client": client.value,
                "variables": {name: word.plain for name, word in guide.variables},
                "file": guide.file,
                "content": guide.content,
                "remarks": list(guide.remarks),
            }
        )
    else:
        say(clients.shell_script(guide).rstrip("\n"))


def target_of(loaded: Loaded[GatewaySettings], url: str | None) -> Target:
    """Gather what every client is told from the configuration."""
    settings = loaded.unwrap()
    model = settings.default_model or catalogue.MAIN_MODEL
    entry = catalogue.Catalogue(settings.models).find(model) or catalogue.Model(id=model)
    return Target(
        url=(url or _own_url(settings)).rstrip("/").removesuffix("/v1"),
        key=_key(bool(settings.auth.proxy_api_key), loaded.place("auth.proxyApiKey")),
        key_variable=KEY_VARIABLE,
        model=model,
        small_model=catalogue.SMALL_MODEL,
        context=entry.context,
        max_output=entry.max_output,
    )


def _own_url(settings: GatewaySettings) -> str:
    host = bind_host(settings)
    host = {EVERYWHERE: LOOPBACK, "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"


def _key(wanted: bool, place: Place) -> Word:
    if not wanted:
        return literal("unused")  # clients insist on a key; this gateway does not
    if place.via is not None:
        command = f"$(cat {shlex.quote(place.via)})"
        return Word(command, f'"{command}"')
    if place.kind == "environment":
        return Word(f"${place.name}", f'"${place.name}"')
    return literal(f"<the client key: auth.proxyApiKey, {place}>")
