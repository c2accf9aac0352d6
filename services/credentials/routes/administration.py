"""The admin API: `Administration` over HTTP, behind a guard of its own, on the admin port only."""

from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.credentials import admin_contract as paths
from services.credentials.admin_contract import Administration, KeyRequest, Logout, MasterRequest, Replacement
from services.credentials.errors import CredentialsError, NotFound
from services.credentials.master_run import MasterRun

T = TypeVar("T")
_AnyRequest = Request[Any, Any, Any]
_Office = NamedDependency[Administration]


class Unreadable(CredentialsError):
    """The body is not what this call takes."""

    status = 400


@get(paths.LOGINS_PATH)
async def logins(office: _Office) -> Response[bytes]:
    """List the logins."""
    return _json(await office.logins())


@post(paths.LOGOUT_PATH, status_code=200)
async def log_out(request: _AnyRequest, office: _Office) -> Response[bytes]:
    """Remove logins."""
    return _json(await office.log_out((await _read(request, Logout)).provider))


@get(paths.KEYS_PATH)
async def keys(office: _Office) -> Response[bytes]:
    """List the client keys."""
    return _json(await office.keys())


@post(paths.KEYS_PATH, status_code=200)
async def create_key(request: _AnyRequest, office: _Office) -> Response[bytes]:
    """Make a client key."""
    return _json(await office.create_key(await _read(request, KeyRequest)))


@post(paths.KEY_PATH + "{id_:str}/{action:str}", status_code=200)
async def change_key(id_: FromPath[str], action: FromPath[str], office: _Office) -> Response[bytes]:
    """Replace or end a client key."""
    match action:
        case "rotate":
            return _json(await office.rotate_key(id_))
        case "settle":
            return _json(await office.settle_key(id_))
        case "revoke":
            return _json(await office.revoke_key(id_))
        case _:
            raise NotFound("a key can be rotated, settled and revoked")


@post(paths.CREDENTIAL_PATH + "{id_:str}/rotate", status_code=200)
async def replace(request: _AnyRequest, id_: FromPath[str], office: _Office) -> Response[bytes]:
    """Replace an upstream key."""
    return _json(await office.replace(id_, await _read(request, Replacement)))


@post(paths.MASTER_PATH, status_code=200)
async def begin_master(request: _AnyRequest, master: NamedDependency[MasterRun]) -> Response[bytes]:
    """Begin a rotation of the master key, or join the one that runs; an empty body asks for nothing in particular."""
    wanted = await _read(request, MasterRequest) if await request.body() else MasterRequest()
    return _json(master.begin(wanted.replicas))


@get(paths.MASTER_PATH, sync_to_thread=False)
def master_state(master: NamedDependency[MasterRun]) -> Response[bytes]:
    """Say how far it is."""
    return _json(master.state)


@get(paths.AUDIT_PATH)
async def verify_audit(office: _Office) -> Response[bytes]:
    """Prove this replica's audit log."""
    return _json(await office.verify_audit())


ROUTES: Final = (
    logins,
    log_out,
    keys,
    create_key,
    change_key,
    replace,
    begin_master,
    master_state,
    verify_audit,
)


async def _read(request: _AnyRequest, wanted: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body(), type=wanted)
    except msgspec.MsgspecError:
        raise Unreadable("the body is not what this call takes") from None


def _json(value: object) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type="application/json", headers={"cache-control": "no-store"})
