"""`zcode-proxy usage`: the tokens of each hour, as a table with bars, JSON or CSV; `usage_session` reads them."""

import re
import time
from enum import StrEnum
from typing import Annotated, Final

import typer

from services.cli.auth import ConfigOption, JsonOption
from services.cli.configuration import settings_or_exit
from services.cli.output import as_json, complain, say, table

_SPAN: Final = re.compile(r"([1-9][0-9]{0,3})([hd])")
_HOURS: Final = {"h": 1, "d": 24}


GatewayOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Ask the gateway behind this admin port, as in http://127.0.0.1:9090, instead of the store.",
        show_default=False,
    ),
]


class By(StrEnum):
    """What is added up."""

    MODEL = "model"
    KEY = "key"
    CREDENTIAL = "credential"
    HOUR = "hour"
    DAY = "day"


def _hours(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise typer.BadParameter("must be a number of hours or days, such as 24h or 7d")
    return int(match[1]) * _HOURS[match[2]]


def usage(
    *,
    by: Annotated[By, typer.Option(help="What is added up.")] = By.MODEL,
    since: Annotated[str, typer.Option(help="How far back: 24h, 7d and the like.")] = "24h",
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV: every hour, model, key and credential.")] = False,
    server: GatewayOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """
    Show the tokens that were used, from what gateways have written down: all that share a store, added up.

    \b
      zcode-proxy usage                        the last day, by model
      zcode-proxy usage --by key --since 7d    who used the plan this week
      zcode-proxy usage --by hour              when
      zcode-proxy usage --csv --since 30d > usage.csv
      zcode-proxy usage --server http://127.0.0.1:9090    from afar: kubectl port-forward deploy/… 9090
    """
    from services.chassis.process import run  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.cli import usage_session  # noqa: PLC0415 - as above
    from services.cli.failures import store_failures  # noqa: PLC0415 - as above

    hours = _hours(since)
    now, names, nothing = time.time(), dict[str, str](), f"nothing was used in the last {since}"
    with store_failures():
        if server is not None:
            found = usage_session.ask(server, hours)
        else:
            settings = settings_or_exit(config, quiet=json or csv)
            found = run(usage_session.read(settings, now, hours))
            names = run(usage_session.key_names(settings)) if by is By.KEY and found else {}
            nothing = usage_session.nothing(settings, since)
    if csv:
        for line in usage_session.csv_lines(found):
            say(line)
        return
    groups = usage_session.grouped(found, by.value, now=now, hours=hours, names=names)
    if json:
        as_json([group.shown() for group in groups])
    elif not found:
        complain(nothing, kind="note")
    else:
        table(*usage_session.as_table(groups, by.value))
