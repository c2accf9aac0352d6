"""The command `zcode-proxy` put together from its parts."""

import sys

import typer

from services.cli import (
    argv,
    audit,
    auth,
    backup,
    captcha,
    config,
    credentials,
    doctor,
    drain,
    env,
    gateway,
    keyring,
    keys,
    metrics,
    models,
    quota,
    rotate,
    serve,
    simulator,
    usage,
    version,
)
from services.cli.exits import MEANINGS, Exit
from services.cli.output import complain, say

_EPILOG = "Exit codes: " + "; ".join(f"{code.value} {words}" for code, words in MEANINGS.items()) + "."

app = typer.Typer(
    name="zcode-proxy",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EPILOG,
)
app.command()(serve.serve)
app.command()(env.env)
app.command()(doctor.doctor)
app.command()(models.models)
app.command()(metrics.metrics)
app.command()(usage.usage)
app.command()(quota.quota)
app.add_typer(auth.app, name="auth")
app.add_typer(keys.app, name="keys")
app.add_typer(rotate.app, name="rotate")
app.add_typer(keyring.app, name="keyring")
app.add_typer(audit.app, name="audit")
app.command()(backup.backup)
app.command()(backup.restore)
app.add_typer(config.app, name="config")
app.command()(gateway.gateway)
app.command()(drain.drain)
app.command()(credentials.credentials)
app.add_typer(captcha.app, name="captcha")
app.command()(credentials.init)
app.command()(simulator.simulator)
app.command()(version.version)


def _show_version(value: bool) -> None:
    if value:
        say(f"zcode-proxy {version.installed_version()}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", callback=_show_version, is_eager=True
    ),
) -> None:
    """
    One address that speaks the OpenAI and the Anthropic dialect, in front of your own Z.AI or Bigmodel plan.

    \b
      zcode-proxy serve --demo       try it without an account
      zcode-proxy auth login zai     log in to your plan
      zcode-proxy serve              with that login, or with your plan's key in ZCODE_API_KEY
      zcode-proxy keys create        make a key for somebody else's client
      zcode-proxy env claude-code    how to point Claude Code here
      zcode-proxy doctor             when something does not work
    """


def main() -> None:
    """Run the command line; the only way out is an exit code."""
    option = argv.secret_option(sys.argv[1:])
    if option is not None:
        complain(argv.refusal(option))
        sys.exit(Exit.USAGE)
    app(prog_name="zcode-proxy")
