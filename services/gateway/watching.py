"""
What runs beside the data path to see what goes on: usage by the hour. Started with the process, ended with it.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from services.gateway.app import Gateway
from services.gateway.books.factory import open_books
from services.gateway.books.port import DAY, Books
from services.gateway.catalogue import Catalogue
from services.gateway.leasing import has_service
from services.gateway.settings import GatewaySettings
from services.gateway.usage_book import UsageBook

_LEAST_DAYS: Final = 1


def books_of(settings: GatewaySettings) -> Books | None:
    """
    Return where this gateway writes, None where it must not or has no place: a demonstration, or a gateway apart from
    the credentials service whose configuration names no store.
    """
    if settings.simulated or (has_service(settings) and settings.store.url is None):
        return None
    days = max(_LEAST_DAYS, settings.telemetry.usage_days)
    return open_books(settings.store.url, Path(settings.store.dir), hours=days * DAY)


@asynccontextmanager
async def watching(settings: GatewaySettings, gateway: Gateway) -> AsyncIterator[None]:
    """Watch until the block ends. Raises StoreRefused for a `store.url` that is none."""
    async with contextlib.AsyncExitStack() as stack:
        books = books_of(settings)
        if books is not None:
            stack.push_async_callback(books.aclose)
            if settings.telemetry.usage_days > 0:
                usage = _usage(settings, gateway, books)
                stack.push_async_callback(usage.aclose)
                usage.start()
        yield
        gateway.ledger.flush()


def _usage(settings: GatewaySettings, gateway: Gateway, books: Books) -> UsageBook:
    catalogue = Catalogue(settings.models)
    usage = UsageBook(
        books,
        gateway.registry,
        is_known_model=lambda name: catalogue.find(name) is not None,
        hours=settings.telemetry.usage_days * DAY,
    )
    gateway.ledger.add(usage.take)
    return usage
