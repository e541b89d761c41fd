"""One drill from its plan to its verdict. Nothing of it touches the source, and nothing that is restored remains."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.drilling.canary_chain import ChainBounds
from dbre.capabilities.backup.drilling.canary_check import CanaryCheck
from dbre.capabilities.backup.drilling.checks import ExtensionsCheck, damage_checks
from dbre.capabilities.backup.drilling.failures import result_of_error
from dbre.capabilities.backup.drilling.levels import inconclusive, passed
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.drilling.planning import Known, plan_drill
from dbre.capabilities.backup.drilling.query_check import QueryCheck
from dbre.capabilities.backup.drilling.reaching import (
    due_position,
    held_position,
    known_until,
    recovery_point_seconds,
    result_of_recovery,
)
from dbre.capabilities.backup.drilling.rows_check import RowsCheck
from dbre.capabilities.backup.drilling.smoke import SmokeCheck
from dbre.capabilities.backup.drilling.verdict import judge
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.gaps import Span, ancestry
from dbre.capabilities.backup.model import Drill, WitnessedCanary
from dbre.capabilities.backup.restoring.booting import port_of_plan
from dbre.capabilities.backup.restoring.lineage import switches_of
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.recovering import Recovered, recovering
from dbre.core.errors import DbreError
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes
from dbre.ports.backup.model import Phase, TargetKind
from dbre.ports.restored_checks import CheckedServer, RestoredCheck, RestoredResult

if TYPE_CHECKING:
    from dbre.capabilities.backup.vault.vault import Vault

__all__ = ["DrillRun", "Tell", "ran_check"]

Tell = Callable[[str, int, int | None], Awaitable[None]]


class DrillRun:
    """Collects what one drill finds out; ``run`` always gives a drill with a verdict, unless it is cancelled."""

    def __init__(self, ground: BackupGround, policy: PolicyDocument, order: DrillOrder, known: Known) -> None:
        self._ground = ground
        self._policy = policy
        self._order = order
        self._known = known
        self._results: list[RestoredResult] = []
        self._phases: tuple[Phase, ...] = ()
        self._phase: str | None = None
        self._verified = 0
        self._plan: RestorePlan | None = None
        self._recovered: Recovered | None = None
        self._until: datetime | None = None

    @property
    def plan(self) -> RestorePlan | None:
        """What is restored; None: nothing can be."""
        return self._plan

    def prepare(self) -> bool:
        """Plan; whether there is something to restore."""
        try:
            self._plan = plan = plan_drill(self._known, self._order)
        except DbreError as error:
            self._results.append(result_of_error(error, phase=None))
            return False
        whole = f"{counted(len(plan.chain), 'member')}, {format_bytes(plan.bytes_stored)}"
        log = f", {counted(len(plan.logs), 'log file')}" if plan.logs else ""
        detail = f"set {plan.newest.id} of {plan.newest.started_at:%Y-%m-%d %H:%M}Z ({whole}){log}"
        if not plan.blocking:
            chain = [one.id for one in plan.chain]
            notes = [one.message for one in plan.problems]
            self._results.append(passed("L0", "catalog", detail, chain=chain, notes=notes, vaults=list(plan.vaults)))
        return True

    async def run(self, vaults: "Sequence[Vault]", directory: Path, tell: Tell | None = None) -> None:
        """Restore and look. What goes wrong on the way is a result."""
        plan = self._plan
        assert plan is not None  # noqa: S101 -- for the type: ``prepare`` said so
        try:
            async with recovering(
                self._ground, plan, vaults=vaults, directory=directory, mode=self._order.mode, tell=self._told(tell)
            ) as recovered:
                self._recovered = recovered
                self._phases = recovered.phases
                self._below(plan, recovered)
                await self._look(plan, recovered)
                await self._promote(recovered)
        except DbreError as error:
            self._results.append(result_of_error(error, phase=self._phase))
        except OSError as error:  # no space, a directory that is gone: of this machine, not of the backup
            said = f"this machine stands in the way: {printable(str(error), limit=300)}"
            self._results.append(inconclusive("L3", "machine", said, errno=error.errno))

    def failed(self, error: DbreError) -> None:
        """Note what went wrong before anything could be restored."""
        self._results.append(result_of_error(error, phase="fetch"))

    def drill(self, *, ended_at: datetime) -> Drill:
        """The drill with its verdict."""
        order, plan, found = self._order, self._plan, judge(self._results)
        outcome = self._recovered.server.outcome if self._recovered is not None else None
        is_measure = order.mode == "faithful" and outcome is not None
        return Drill(
            id=order.id,
            cluster=order.cluster,
            set_id=plan.newest.id if plan is not None else None,
            system_id=plan.system_id if plan is not None else None,
            target_kind=order.target.kind.value,
            target_value=order.target_value,
            mode=order.mode,
            started_at=order.asked_at,
            ended_at=ended_at,
            phases=self._phases,
            reached=outcome.position if outcome is not None else None,
            reached_commit_at=outcome.last_commit_at if outcome is not None else None,
            results=tuple(self._results),
            recovery_point_seconds=recovery_point_seconds(order, self._until),
            recovery_time_seconds=sum(one.seconds for one in self._phases) if is_measure else None,
            verdict=found.verdict,
            reason=found.reason,
            level=found.level,
            operation_id=order.id,
        )

    def _told(self, tell: Tell | None) -> Tell:
        """Keep in mind which phase runs, so that an error is told at its level."""

        async def told(phase: str, done: int, total: int | None) -> None:
            self._phase = phase
            if phase == "verify":
                self._verified += 1
                if self._plan is not None and self._verified == len(self._plan.chain):
                    self._phase = "fetch_log"
            if tell is not None:
                await tell(phase, done, total)

        return told

    def _below(self, plan: RestorePlan, recovered: Recovered) -> None:
        """A server that runs was made of members and log that were found good."""
        verified = sum(one.bytes or 0 for one in recovered.phases if one.name == "verify")
        detail = f"{counted(len(plan.chain), 'member')} with {format_bytes(verified)} equal their manifests"
        self._results.append(passed("L1", "copies", detail, bytes=verified))
        if plan.logs and plan.end is not None:
            scanned = sum(one.bytes or 0 for one in recovered.phases if one.name == "scan")
            detail = f"{counted(len(plan.logs), 'log file')} without a hole up to {plan.end.text}, every record good"
            self._results.append(passed("L2", "log", detail, bytes=scanned))

    def _line(self, plan: RestorePlan) -> tuple[Span, ...]:
        return ancestry(switches_of(self._known.catalog, plan.system_id), plan.timeline)

    async def _look(self, plan: RestorePlan, recovered: Recovered) -> None:
        outcome, line = recovered.server.outcome, self._line(plan)
        due = due_position(plan, self._order, self._known.samples, line)
        self._results.append(result_of_recovery(plan, self._order, outcome, due))
        canary = self._canary(plan, recovered, line)
        checks = self._checks(plan, recovered, canary)
        checked = self._checked(plan, recovered)
        compared = 0.0
        try:
            for one in checks:
                found = await ran_check(one, checked)
                self._results += found
                compared += sum(result.seconds for result in found if result.level == "L5")
        finally:
            await checked.server.aclose()
        newest = canary.finding.newest_at if canary.finding is not None else None
        self._phases = (*recovered.phases, Phase(name="check", seconds=compared))  # nobody opens a service unseen
        self._until = known_until(outcome, self._known.samples, line, system_id=plan.system_id, canary_at=newest)

    def _checked(self, plan: RestorePlan, recovered: Recovered) -> CheckedServer:
        access = replace(recovered.server.access, application_name="dbre:drill")
        cluster = self._ground.fleet.cluster(self._order.cluster)
        return CheckedServer(
            server=self._ground.engines.get(plan.engine).connect(access),
            access=access,
            cluster=self._order.cluster,
            engine=plan.engine,
            databases=cluster.databases,
        )

    def _canary(self, plan: RestorePlan, recovered: Recovered, line: Sequence[Span]) -> CanaryCheck:
        target, document = self._order.target, self._policy.canary
        cluster = self._ground.fleet.cluster(self._order.cluster)
        return CanaryCheck(
            engine=self._ground.engines.get(plan.engine),
            witnesses=[one for one in self._known.witnesses if _lies_on(one, line)],
            bounds=ChainBounds(
                until=target.at if target.kind is TargetKind.TIME else None,
                held=held_position(plan, self._order, recovered.server.outcome),
                limit=self._order.position if target.kind is TargetKind.POSITION else None,
            ),
            database=document.database or (cluster.databases[0] if cluster.databases else None),
            is_enabled=document.enabled,
        )

    def _checks(self, plan: RestorePlan, recovered: Recovered, canary: CanaryCheck) -> list[RestoredCheck]:
        document = self._policy.drill
        engine = self._ground.engines.get(plan.engine)
        cluster = self._ground.fleet.cluster(self._order.cluster)
        found: list[RestoredCheck] = []
        if "extensions" in document.checks:
            found.append(ExtensionsCheck(engine=engine))
        found += damage_checks(engine, document.checks)
        if "canary" in document.checks:
            found.append(canary)
        if "rows" in document.checks:
            port, reached = port_of_plan(self._ground, plan), recovered.server.outcome.position
            found.append(RowsCheck(engine=engine, cluster=cluster, port=port, reached=reached))
        if "queries" in document.checks and document.queries:
            found.append(QueryCheck(engine=engine, queries=document.queries))
        found += self._ground.checks
        if document.smoke_command:
            account, where = self._ground.place.account, recovered.data.parent
            found.append(SmokeCheck(argv=document.smoke_command, account=account, directory=where))
        return found

    async def _promote(self, recovered: Recovered) -> None:
        """A server that cannot take writes is no restored service; the time that it takes is part of every restore."""
        self._phase = "promote"
        phase = await recovered.server.promote()
        self._phases = (*self._phases, phase)
        self._results.append(passed("L3", "promotion", f"takes writes after {phase.seconds:.1f} s", phase.seconds))


def _lies_on(one: WitnessedCanary, line: Sequence[Span]) -> bool:
    """Rows of a branch that the line left are on no way to the target."""
    if one.position is None:
        return True
    position = one.position
    return any(
        span.timeline == position.timeline and span.start <= position.value and (span.end is None or position.value <= span.end)
        for span in line
    )


async def ran_check(check: RestoredCheck, checked: CheckedServer) -> list[RestoredResult]:
    """A check that cannot end is a result too: the others go on."""
    try:
        return await check.run(checked)
    except DbreError as error:
        said = f"could not look: {printable(error.message, limit=400)}"
        return [inconclusive("L5" if check.name in ("canary", "rows", "queries") else "L4", check.name, said, code=error.code)]
