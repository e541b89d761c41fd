"""Findings that only the servers themselves can tell: log that they keep for nobody, or not long enough."""

import asyncio
from collections.abc import Iterator, Sequence

from dbre.capabilities.backup.catalog.logs import list_logs
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.leftover import Leftover, Unasked, find_leftovers
from dbre.capabilities.backup.log.origin import find_origin, receiver_name
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.ports.contact import CONCURRENT_SERVERS

__all__ = ["ask_servers"]


async def ask_servers(ground: BackupGround, clusters: Sequence[Cluster]) -> list[Finding]:
    """Ask the servers of clusters, many at once. One that does not answer is a finding where its log matters to backups."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)

    async def one(cluster: Cluster) -> list[Finding]:
        async with limit:
            return await _ask(ground, cluster)

    found = await asyncio.gather(*map(one, clusters))
    return [finding for findings in found for finding in findings]


async def _ask(ground: BackupGround, cluster: Cluster) -> list[Finding]:
    policy = ground.policy_of(cluster.name)
    found: list[Finding] = []
    if policy is not None and policy.log.mode != "none":
        try:
            origin = await find_origin(ground, cluster, policy)
            backlog = await origin.source.backlog(receiver_name(cluster.name)) if origin.source is not None else None
        except DbreError as error:
            found.append(_silent(cluster, error))
        else:
            for problem in backlog.problems if backlog is not None else ():
                severity = Severity.ERROR if problem.is_blocking else Severity.WARNING
                summary = f"{origin.instance}: {problem.message}"
                found.append(_finding(cluster, problem.rule, severity, summary, problem.hint))
    leftovers, unasked = await find_leftovers(ground, cluster)
    found += [_left(cluster, one) for one in leftovers]
    if unasked and not found and await _was_received(ground, cluster):
        found += _unknown(cluster, unasked)
    return found


async def _was_received(ground: BackupGround, cluster: Cluster) -> bool:
    if ground.store is None:
        return False
    async with ground.store.read() as connection:
        return bool(await list_logs(connection, cluster.name, limit=1))


def _left(cluster: Cluster, one: Leftover) -> Finding:
    kept = "log" if one.backlog.kept_bytes is None else f"{format_bytes(one.backlog.kept_bytes)} of log"
    if one.backlog.is_active:
        who = printable(one.backlog.active_by or "somebody", limit=100)
        summary = f"{one.instance} keeps {kept} for slot {one.name}, which {who} receives, and no policy here wants it"
        fix = "find that control plane: a cluster's log is kept by one"
        return _finding(cluster, "backup.slot_of_another", Severity.WARNING, summary, fix)
    summary = f"{one.instance} keeps {kept} for slot {one.name}, and no policy has it received: its disk fills up"
    return _finding(cluster, "backup.slot_left", Severity.ERROR, summary, f"dbre backup log release {cluster.name}")


def _silent(cluster: Cluster, error: DbreError) -> Finding:
    summary = f"how its servers keep their log is not known: {error.message}"
    return _finding(cluster, "backup.log_unknown", Severity.WARNING, summary, error.hint or "dbre backup log status")


def _unknown(cluster: Cluster, unasked: Sequence[Unasked]) -> Iterator[Finding]:
    for one in unasked:
        summary = (
            f"whether {one.instance} still keeps log for slot {receiver_name(cluster.name)} is not known: {one.error.message}"
        )
        yield _finding(cluster, "backup.slot_unknown", Severity.INFO, summary, "dbre backup check, when it answers")


def _finding(cluster: Cluster, rule: str, severity: Severity, summary: str, fix: str) -> Finding:
    return Finding(rule=rule, severity=severity, subject=cluster.name, summary=summary, fix=fix)
