"""Whether somebody receives the log that a copy needs: asked before the copy, so that it never waits for what nobody does."""

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.log.origin import receiver_name
from dbre.capabilities.backup.model import Catalog
from dbre.capabilities.backup.taking.source import find_primary
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import printable
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.log_source import BacklogState, HasLogSource, LogBacklog

__all__ = ["own_log_only", "why_not_received"]


async def why_not_received(
    port: BackupPort, cluster: Cluster, policy: PolicyDocument, catalog: Catalog, *, application_name: str
) -> str | None:
    """Why log that is written from now on would not reach the vaults; None: it does, or the engine cannot tell."""
    if not isinstance(port, HasLogSource):
        return None
    try:
        primary = await find_primary(port, cluster, application_name=application_name)
        backlog = await port.log_source(primary.access).backlog(receiver_name(cluster.name))
    except DbreError as error:
        return f"whether the log of {cluster.name} is received is not known: {printable(error.message, limit=200)}"
    if policy.log.mode == "archive":
        has_log = any(one.system_id == primary.survey.system_id for one in catalog.logs)
        return _why_not_archived(primary.instance, backlog, has_log=has_log)
    return _why_not_streamed(primary.instance, receiver_name(cluster.name), backlog)


def own_log_only(why: str) -> str:
    """What it means that a copy has to hold its own log, for the plan."""
    return (
        f"{why}: the copy holds the log of its own; it can be recovered to its own end only, and to nothing later,"
        " until `dbre server` receives the log"
    )


def _why_not_archived(instance: str, backlog: LogBacklog, *, has_log: bool) -> str | None:
    if backlog.archive_failed is not None:
        return f"archiving of {instance} fails on {printable(backlog.archive_failed, limit=80)}"
    if backlog.archived is None and not has_log:
        return (
            f"{instance} has handed over no log file yet (dbre backup log archive-client makes what its archive_command needs)"
        )
    return None


def _why_not_streamed(instance: str, name: str, backlog: LogBacklog) -> str | None:
    if backlog.is_active:
        return None
    if backlog.state is BacklogState.ABSENT:
        return f"nobody receives the log of {instance}: there is no slot {name}"
    if backlog.state is BacklogState.LOST:
        return f"nobody receives the log of {instance}: the server gave up slot {name}"
    if backlog.kept_from is None:  # the engine keeps nothing for a receiver, so it cannot say whether there is one
        return None
    return f"nobody receives the log of {instance}: slot {name} is not in use"
