"""Deploys that somebody tells of: events, so that timelines and statistics know them."""

from dbre.capabilities.incident.desk import checked_text
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import Clock
from dbre.core.events import Event, EventLog
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal
from dbre.core.store import Store

__all__ = ["DEPLOY_RECORDED", "record_deploy"]

DEPLOY_RECORDED = "deploy.recorded"
"""Kind of the event; data: cluster, what, version, note, by."""


async def record_deploy(
    store: Store,
    fleet: Fleet,
    clock: Clock,
    principal: Principal,
    *,
    cluster: str,
    what: str,
    version: str = "",
    note: str = "",
) -> Event:
    """Write that something was deployed just now. Raises: UnknownCluster; Denied; UsageError for a text out of bounds."""
    labels = fleet.cluster(cluster).labels
    principal.require(Permission.OPERATE, labels, what=f"deploys of {cluster}")
    data = {
        "cluster": cluster,
        "what": checked_text("name of what was deployed", what, 200),
        "version": version.strip()[:100],
        "note": note.strip()[:1_000],
        "by": principal.name,
    }
    subject = f"cluster/{cluster}"
    async with store.begin() as connection:
        facts = {"what": data["what"], "version": data["version"]}
        draft = AuditDraft(action=DEPLOY_RECORDED, actor=principal.name, subject=subject, data=facts)
        await AuditLog(clock).record(connection, draft)
        return await EventLog(clock).emit(connection, kind=DEPLOY_RECORDED, subject=subject, data=data)
