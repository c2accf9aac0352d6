"""
A rotation of the master key that the service carries out, begun by one call and asked about by others.

    begin    while one runs: joins it, else starts one
    state    how far it is; after its end what came of it, until the next one
"""

from services.chassis.process import Tasks
from services.credentials.admin_contract import Administration, MasterState
from services.credentials.errors import CredentialsError
from services.credentials.stores.port import StoreUnavailable


class MasterRun:
    """One per process; its task is among those that are given, and ends with them."""

    def __init__(self, administration: Administration, tasks: Tasks) -> None:
        self._administration = administration
        self._tasks = tasks
        self.state = MasterState()

    def begin(self, replicas: int = 0) -> MasterState:
        """Begin, unless one runs, and return how far it is; at least so many processes must report."""
        if not self.state.running:
            self.state = MasterState(running=True)
            _ = self._tasks.start(self._run(replicas), name="rotation of the master key")
        return self.state

    def _take(self, state: MasterState) -> None:
        self.state = state

    async def _run(self, replicas: int) -> None:
        fault = "the rotation was broken off; begin it again"
        try:
            self.state = MasterState(proof=await self._administration.rotate_master(self._take, replicas))
            fault = ""
        except (CredentialsError, StoreUnavailable) as error:
            fault = str(error)
        finally:
            if fault:
                self.state = MasterState(fault=fault)
