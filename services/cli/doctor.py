"""`zcode-proxy doctor`: read-only checks, each with what to do next."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Annotated

import typer

from services.chassis.settings import Loaded
from services.cli.checks.configuration import check_configuration
from services.cli.checks.finding import Finding, Status, skipped
from services.cli.checks.machine import check_machine
from services.cli.configuration import load, source_words
from services.cli.exits import Exit
from services.cli.output import as_json, say, table
from services.cli.serve import ConfigArgument, NamedConfig
from services.gateway.settings import GatewaySettings


def doctor(
    config: ConfigArgument = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Speak to no other machine.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    named: NamedConfig = None,
) -> None:
    """
    Find out why something does not work: configuration, key, addresses, network, clock, this machine.

    Reads only; nothing is changed, no key is sent, no tokens are used. Leaves with 1 when a check fails.
    Services of ours that are elsewhere (`credentials.address`, `captcha.address`) are asked as a gateway asks them.
    """
    config = config or named
    findings = list(examine(load(config), source_words(config), offline=offline))
    if json:
        as_json(
            [
                {
                    "check": finding.check,
                    "status": finding.status.value,
                    "message": finding.message,
                    "advice": finding.advice,
                }
                for finding in findings
            ]
        )
    else:
        _print(findings)
    if any(finding.status is Status.FAIL for finding in findings):
        raise typer.Exit(Exit.FAILED)


def examine(loaded: Loaded[GatewaySettings], source: str, *, offline: bool) -> Iterator[Finding]:
    """Run every check that the configuration allows."""
    yield from check_configuration(loaded, source)
    settings = loaded.value
    if settings is None or loaded.faults:
        yield skipped("network", "not looked at until the configuration has no faults")
        return
    if offline:
        yield skipped("network", "not looked at (--offline)")
    else:
        from services.cli.checks.network import check_network  # noqa: PLC0415 -- its imports stay out of other commands
        from services.cli.checks.services import check_services  # noqa: PLC0415 -- as above

        yield from check_network(settings)
        yield from check_services(settings)
    yield from check_machine(settings, os.environ)


def _print(findings: list[Finding]) -> None:
    table(
        ("", "Check", "Finding"),
        [
            row
            for finding in findings
            for row in (
                (finding.status.value, finding.check, finding.message),
                *([("", "", f"→ {finding.advice}")] if finding.advice else []),
            )
        ],
    )
    counts = Counter(finding.status for finding in findings)
    words = {Status.GOOD: "passed", Status.WARN: "to look at", Status.FAIL: "failed", Status.SKIP: "skipped"}
    say(", ".join(f"{counts[status]} {text}" for status, text in words.items() if counts[status]))
