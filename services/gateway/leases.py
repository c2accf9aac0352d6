"""
What the upstream is called with: the port to credentials, and the one that serves a key from the configuration.

A lease is ready to put on the wire; the exchange neither knows nor cares where it came from.
"""

from collections.abc import Collection
from typing import Protocol

import msgspec

from services.chassis.secret import Secret
from services.gateway.errors import Misconfigured
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import misconfigured


class Lease(msgspec.Struct, frozen=True):
    """A credential for one request. `user_id` is set for OAuth logins only (mutation M3)."""

    credential_id: str
    secret: Secret
    user_id: str | None = None
    version: int = 0  # of the record, for a report on it; 0: not from the credentials service


class Leases(Protocol):
    """Hands out credentials."""

    def current(self, route: UpstreamRoute, model: str | None = None, resting: Collection[str] = ()) -> Lease:
        """
        Return what to call this route with now, without waiting; raises a GatewayError when there is nothing.

        The credentials in `resting` are taken only when there is no other.
        """

    async def after(self, fault: Fault, lease: Lease, route: UpstreamRoute, model: str) -> Lease | None:
        """
        Make known what a fault says of a lease; return another one to try with at once, None when there is none.

        A fault that says nothing of the credential gives None.
        """


class ConfiguredLeases:
    """The key or the start-plan token of the configuration."""

    def __init__(self, secret: Secret | None) -> None:
        self._lease = None if secret is None else Lease("config", secret)

    def current(
        self,
        route: UpstreamRoute,
        model: str | None = None,  # noqa: ARG002  # part of the port
        resting: Collection[str] = (),  # noqa: ARG002  # part of the port
    ) -> Lease:
        """Return the configured credential."""
        if self._lease is not None:
            return self._lease
        if route.plan is Plan.START:
            raise Misconfigured(
                misconfigured(
                    "The start plan needs a token: set `startPlan.jwt` (ZCODE_START_PLAN_JWT).",
                    "start_plan_token_missing",
                )
            )
        raise Misconfigured(
            misconfigured(
                "There is no key to call the upstream with: set `auth.apiKey` (ZCODE_API_KEY).", "upstream_key_missing"
            )
        )

    async def after(self, fault: Fault, lease: Lease, route: UpstreamRoute, model: str) -> Lease | None:  # noqa: ARG002
        """Return nothing: a key in a file cannot be made anew, and there is no other."""
        return None
