"""How the drills of a cluster stand now, for commands, pages, and the checks of the fleet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.drills.config_document import DrillDocument
from dbre.capabilities.ha.drills.findings import Standing, drill_findings, standings
from dbre.capabilities.ha.drills.promises import promises_now
from dbre.capabilities.ha.drills.repository import StoredRun, list_runs
from dbre.capabilities.ha.patroni.prediction import Predicted
from dbre.core.checks import Check, Finding, Severity
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Unsupported
from dbre.core.fleet import Cluster
from dbre.core.store import Store

__all__ = ["DrillLook", "drill_check", "look_at_drills"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillLook:
    """Every drill of a cluster that is kept, and what to think of them at a moment."""

    at: datetime
    runs: Sequence[StoredRun]  # the newest first
    standings: Sequence[Standing]
    findings: Sequence[Finding]


async def look_at_drills(store: Store, settings: HaDocument, clock: Clock, cluster: Cluster) -> DrillLook:
    """Read the runs, and ask Patroni what its settings promise now; that it is silent is a finding of its own."""
    own, unknown = settings.of(cluster.name), list[Finding]()
    async with store.read() as connection:
        runs = await list_runs(connection, cluster=cluster.name)
    promises: Mapping[str, Predicted] = {}
    if own.patroni is not None and runs:  # without a drill there is nothing to hold a promise against
        try:
            promises = await promises_now(own.patroni)
        except DbreError as error:
            unknown.append(_unknown(cluster.name, error))
    rules, now = own.drill or DrillDocument.model_validate({}), clock.now()
    found = standings(runs, promises)
    told = [*drill_findings(cluster.name, found, now=now, max_age=rules.max_age), *unknown]
    return DrillLook(at=now, runs=runs, standings=found, findings=told)


def _unknown(cluster: str, error: DbreError) -> Finding:
    return Finding(
        rule="ha.drill_promise_unknown",
        severity=Severity.WARNING,
        subject=cluster,
        summary=f"what the settings promise now is not known: {error.message}",
        evidence={"code": error.code},
        fix=error.hint or f"dbre ha settings {cluster}",
    )


class _Look(Protocol):
    @property
    def cluster(self) -> Cluster:
        """What is looked at."""
        ...


def drill_check(store: Store | None, settings: HaDocument, clock: Clock) -> Check:
    """The check ``drills`` of ``dbre fleet check``. That there was none is told where the configuration has ``drill``.

    Without ``store`` it can be planned, and not run.
    """

    async def run(look: _Look) -> Sequence[Finding]:
        if store is None:
            raise Unsupported("drills are kept in the state store, which this process has not opened")
        found = (await look_at_drills(store, settings, clock, look.cluster)).findings
        is_wanted = settings.of(look.cluster.name).drill is not None
        return [one for one in found if is_wanted or one.rule != "ha.drill_never"]

    return Check(id="drills", title="failovers were drilled, not long ago, and ended as the settings promise", run=run)
