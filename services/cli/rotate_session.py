"""What the `rotate` commands do, by whichever way."""

from collections.abc import Callable
from typing import Final

from services.chassis.secret import Secret
from services.cli.office import Office
from services.cli.rotate_screen import RotationScreen
from services.credentials.admin_contract import MasterProof, Replaced, Replacement
from services.credentials.errors import NotFound

_ABSENT: Final = "there is no such credential; `zcode-proxy auth status` lists them"


async def rotate_master(office: Office, replicas: int, *, complain: Callable[[str], None]) -> MasterProof:
    """Carry a rotation out, or go on with one; at least so many running processes must report."""
    async with office.open() as desk:
        with RotationScreen(complain) as screen:
            return await desk.rotate_master(screen.show, replicas)


async def kind_of(office: Office, id_: str) -> str:
    """Say how a credential came to be (`contract.Kind`), before anybody is asked for a key. Raises NotFound."""
    async with office.open(for_what_is_there=_ABSENT) as desk:
        found = [login.kind for login in (await desk.logins()).logins if login.id == id_]
    if not found:
        raise NotFound(_ABSENT)
    return found[0]


async def replace(office: Office, id_: str, key: Secret | None) -> Replaced:
    """Put a new upstream key in a credential's place; without one, ask its login provider."""
    async with office.open(for_what_is_there=_ABSENT) as desk:
        return await desk.replace(id_, Replacement(api_key=None if key is None else key.reveal()))
