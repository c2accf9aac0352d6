"""The broker's `TokenProvider` over a login provider: carries `renewal` out, within 10 s in all (promises.md C7)."""

import time
from typing import Final

from services.credentials.oauth.caller import Caller
from services.credentials.oauth.renewal import renew
from services.credentials.oauth.steps import Ask
from services.credentials.oauth.vendors import Addresses, Vendor
from services.credentials.records import Secrets
from services.credentials.token_provider import RefreshedSecrets, RefreshMode

SECONDS: Final = 10.0


class OAuthProvider:
    """One provider; implements `TokenProvider`."""

    def __init__(self, vendor: Vendor, addresses: Addresses, caller: Caller, *, seconds: float = SECONDS) -> None:
        self._vendor = vendor
        self._addresses = addresses
        self._caller = caller
        self._seconds = seconds

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        """Make a login anew. Raises InvalidGrant, TransientFailure, OutcomeUnknown."""
        deadline = time.monotonic() + self._seconds
        flow = renew(self._vendor, self._addresses, secrets, mode)
        step = next(flow)
        try:
            while True:
                if not isinstance(step, Ask):
                    raise TypeError(f"a refresh does not ask for {type(step).__name__}")
                step = flow.send(await self._caller.call(step, seconds=deadline - time.monotonic()))
        except StopIteration as end:
            refreshed: RefreshedSecrets = end.value
            return refreshed
