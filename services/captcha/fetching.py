"""One bounded GET over httpx2, for the provider's configuration: no redirect followed, no cookie kept."""

import asyncio
import logging
import ssl
from typing import Final

import httpx2

_SECONDS: Final = 5.0
_LARGEST: Final = 256 * 1024  # bytes of an answer

_log = logging.getLogger(__name__)


class Fetcher:
    """Fetches. `aclose` it on the loop that used it."""

    def __init__(self, *, user_agent: str, ca_file: str | None = None, proxy: str | None = None) -> None:
        tls = ssl.create_default_context()
        if ca_file is not None:
            tls.load_verify_locations(cafile=ca_file)
        self._http = httpx2.AsyncClient(
            verify=tls,
            proxy=proxy,
            trust_env=False,
            follow_redirects=False,
            timeout=_SECONDS,
            headers={"user-agent": user_agent, "accept": "application/json", "accept-encoding": "identity"},
        )

    async def fetch(self, url: str) -> bytes | None:
        """Return the body of a 200; None for anything else."""
        try:
            async with asyncio.timeout(_SECONDS), self._http.stream("GET", url) as answer:
                body = bytearray()
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > _LARGEST:
                        return None
                return bytes(body) if answer.status_code == 200 else None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            _log.info("the provider's configuration: %s", type(error).__name__)
            return None
        finally:
            self._http.cookies.clear()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()
