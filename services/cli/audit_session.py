"""What `audit verify` does, by whichever way."""

from services.cli.office import Office
from services.credentials.admin_contract import AuditVerdict
from services.credentials.audit import FILE_NAME
from services.credentials.settings import directory


async def verify(office: Office) -> AuditVerdict:
    """Prove the log."""
    if office.empty:
        return AuditVerdict(file=str(directory(office.settings.store) / FILE_NAME), lines=0, without_key=0)
    async with office.open() as desk:
        return await desk.verify_audit()
