"""`zcode-proxy quota`: what is left of the plan, how fast it goes, when it comes back; `quota_session` asks."""

import time
from typing import Annotated, Final

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.exits import Exit
from services.cli.output import as_json, complain, say

_EVERY: Final = 30.0  # seconds between two looks of --watch; the upstream is asked once a minute at most
_CLEAR: Final = "\x1b[2J\x1b[H"


def quota(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every half minute, until Ctrl-C.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """
    Show what is left of the plan: each window as a bar, when it begins anew, how long it lasts at this pace.

    The upstream is asked at most once a minute, by whoever comes first: a gateway that runs here, or this command.
    Leaves with 1 when an account could not be asked.
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import quota_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    settings = settings_or_exit(config, quiet=json)
    try:
        while True:
            with store_failures():
                board = run(quota_session.look(settings))
            if json:
                as_json(quota_session.shown(board, time.time()))
            else:
                text = quota_session.as_text(board, time.time())
                say(_CLEAR + text if watch else text)
            if not watch:
                break
            time.sleep(_EVERY)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.OK) from None
    problems = [reading for reading in board.readings if reading.problem]
    for reading in problems:
        complain(f"{reading.provider} ({reading.credential}): {reading.problem}", kind="warning")
    if problems or not board.readings:
        raise typer.Exit(Exit.FAILED)
