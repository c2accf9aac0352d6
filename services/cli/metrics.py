"""`zcode-proxy metrics`: every metric there is, from the declarations that the services export by."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.cli.output import as_json, say, table

if TYPE_CHECKING:
    from services.chassis.telemetry import Family

_HEAD: Final = """# Metrics

Every process serves them at `/metrics` on its admin port, as OpenMetrics with exemplars where that is asked for.
This page is made from the code; renew it with `zcode-proxy metrics --page > docs/metrics.md`.

Labels are bounded: a model that is not in the catalogue is `other`, codes come from tables, no label holds a key, an
address or a client's text. A family has at most 2000 series; what comes after counts into one labelled `other`.
"""


def metrics(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    page: Annotated[bool, typer.Option("--page", help="Print the page docs/metrics.md.")] = False,
) -> None:
    """List the metrics that the processes export."""
    if page:
        say(catalogue_page())
    elif json:
        as_json(
            [_shown(service, family) for service, families in families_of_services().items() for family in families]
        )
    else:
        rows = [
            (family.shown, family.kind, ", ".join(family.labels), service)
            for service, families in families_of_services().items()
            for family in families
        ]
        table(("Metric", "Kind", "Labels", "Of"), rows)


def catalogue_page() -> str:
    """Return docs/metrics.md, without the last line's end."""
    return "\n".join(
        [_HEAD, *(line for name, families in families_of_services().items() for line in _section(name, families))]
    )


def families_of_services() -> "dict[str, tuple[Family, ...]]":
    """Return every family by the service that exports it."""
    from services.captcha import metrics as captcha  # noqa: PLC0415 - as above
    from services.chassis import certificates, otlp, telemetry  # noqa: PLC0415 - heavy imports stay out of the other commands
    from services.chassis.peer import issuer_keys  # noqa: PLC0415 - as above
    from services.credentials import metrics as credentials  # noqa: PLC0415 - as above
    from services.gateway import gate_metrics, quota_poller, reloading, usage_book  # noqa: PLC0415 - as above
    from services.gateway import metrics as gateway  # noqa: PLC0415 - as above

    return {
        "every process": (
            *telemetry.CHASSIS,
            *telemetry.PROCESS,
            *otlp.FAMILIES,
            *certificates.FAMILIES,
            *issuer_keys.FAMILIES,
        ),
        "gateway": (
            *gateway.FAMILIES,
            *reloading.FAMILIES,
            *gate_metrics.FAMILIES,
            *usage_book.FAMILIES,
            *quota_poller.FAMILIES,
        ),
        "credentials": credentials.FAMILIES,
        "captcha": captcha.FAMILIES,
    }


def _section(name: str, families: "Iterable[Family]") -> list[str]:
    rows = [
        f"| `{family.shown}` | {family.kind} | {family.unit} | {', '.join(f'`{label}`' for label in family.labels)} "
        f"| {family.help}{_buckets(family)} |"
        for family in families
    ]
    title = name[0].upper() + name[1:]
    return [f"## {title}", "", "| metric | kind | unit | labels | meaning |", "|---|---|---|---|---|", *rows, ""]


def _buckets(family: "Family") -> str:
    return f" Buckets {family.bounds[0]:g} to {family.bounds[-1]:g}." if family.bounds else ""


def _shown(service: str, family: "Family") -> dict[str, object]:
    return {
        "name": family.shown,
        "kind": family.kind,
        "unit": family.unit,
        "labels": list(family.labels),
        "help": family.help,
        "service": service,
    }
