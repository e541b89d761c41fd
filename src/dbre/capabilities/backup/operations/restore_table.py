"""``backup.restore_table``: one table as it was, beside the living one under another name."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.documents import TargetInput, target_input
from dbre.capabilities.backup.restoring.living import find_primary_access, patient, table_copies_of
from dbre.capabilities.backup.restoring.request import Asked
from dbre.capabilities.backup.restoring.restore_plan import target_words
from dbre.capabilities.backup.restoring.scratch import planned_moment, scratch_moment
from dbre.capabilities.backup.restoring.target import parse_target
from dbre.capabilities.backup.restoring.telling import ending_words
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, Verification, step
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.ports.engine import Access
from dbre.ports.integrity import TableName

__all__ = ["RestoreTable", "RestoreTableInput"]

_LONG = 7 * 86_400.0
_NAMED = 200  # things that did not come along
_Text = Annotated[str, Field(min_length=1, max_length=300)]


class RestoreTableInput(BaseModel):
    """Which table of which cluster, as of when, under which name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: _Text
    table: _Text
    into: _Text
    target: TargetInput
    database: _Text | None = None
    vault: _Text | None = None
    accept_loss: bool = False


class RestoreTable(Operation[RestoreTableInput]):
    """Bring one table back as it was; the living table is only read, and the new one is dropped if it is undone."""

    kind, version = "backup.restore_table", 1
    document = RestoreTableInput

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: RestoreTableInput) -> Plan:
        """See that the moment can be brought back and that the name is free.

        Raises: InvalidTarget, NoSetForTarget, RestoreImpossible; Conflict where the name is taken; Unsupported.
        """
        target = parse_target(asked.target.text(), now=context.clock.now())
        cluster = self._ground.fleet.cluster(asked.cluster)
        copies = table_copies_of(self._ground, cluster)
        table, into = copies.parse_name(asked.table), copies.parse_name(asked.into)
        if table == into:
            raise PrecheckFailed(f"{table} is the living table itself", hint="name another one: --as NAME")
        database = asked.database or (cluster.databases[0] if cluster.databases else None)
        await copies.require_free(await self._living(asked.cluster, database, context.application_name), into)
        wanted = Asked(cluster=asked.cluster, target=target, vault=asked.vault, accept_loss=asked.accept_loss)
        plan = await planned_moment(self._ground, wanted)
        given = {
            "cluster": asked.cluster,
            "database": database,
            "table": [table.schema, table.name],
            "into": [into.schema, into.name],
            "target": target_input(plan.asked) | {"timeline": plan.timeline},
            "set": plan.newest.id,
            "vault": asked.vault,
            "accept_loss": asked.accept_loss,
        }
        words, shown = target_words(plan.asked), printable(str(into), limit=200)
        summary = f"copy {printable(str(table), limit=200)} of {cluster.name} as of {words} to {shown}"
        return Plan(
            target=f"cluster/{cluster.name}/restore",
            summary=summary,
            steps=(Step("load", summary=summary, input=given, undo="drop"),),
            risk=Risk.MODERATE,
            lock=LockMode.SHARED,
            changes=(Change(subject=f"{cluster.name}: {shown}", before=None, after=f"rows of {words}"),),
            blast_radius=_effects(cluster, shown, plan.bytes_copy),
            warnings=tuple(f"{one.message} ({one.hint})" for one in plan.problems),
            observed={"set": plan.newest.id, "timeline": plan.timeline},
            tags=("restore",),
        )

    @step(timeout_seconds=_LONG, idempotent=True)
    async def load(self, context: StepContext) -> Mapping[str, Any]:
        """Bring the moment back in a jail, and copy the table out of it in one transaction."""
        given = context.input
        copies = table_copies_of(self._ground, self._ground.fleet.cluster(given["cluster"]))
        living = await self._living(given["cluster"], given["database"], context.application_name)
        asked = Asked(
            cluster=given["cluster"],
            target=TargetInput.model_validate(given["target"]).target(),
            vault=given["vault"],
            set_id=given["set"],
            accept_loss=given["accept_loss"],
        )
        plan = await planned_moment(self._ground, asked)

        async def tell(phase: str, done: int, total: int | None) -> None:  # noqa: ARG001 -- one step is all phases
            await context.checkpoint()
            await context.progress(done, total, "bytes")

        name = f"table-{context.token.operation_id}"
        async with scratch_moment(self._ground, plan, name=name, tell=tell) as moment:
            source = patient(moment.server.access, database=living.database)
            await context.note(ending_words(moment.server.outcome))
            copied = await copies.copy(source, living, _name(given["table"]), into=_name(given["into"]), mark=_mark(context))
        left_out = [printable(one, limit=200) for one in copied.left_out[:_NAMED]]
        return {"table": str(copied.table), "rows": copied.rows, "bytes": copied.bytes, "left_out": left_out}

    @load.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """The table and its mark came in one transaction."""
        given = context.input
        copies = table_copies_of(self._ground, self._ground.fleet.cluster(given["cluster"]))
        living = await self._living(given["cluster"], given["database"], context.application_name)
        found = await copies.copied(living, _name(given["into"]), mark=_mark(context))
        if found is None:
            raise NotHappened(f"there is no {_name(given['into'])}")
        return {"table": str(found.table), "rows": found.rows, "bytes": found.bytes}

    @step(timeout_seconds=3_600.0, idempotent=True)
    async def drop(self, context: StepContext) -> Mapping[str, Any]:
        """Drop the table, if it is still the one that was made here."""
        given = context.input
        copies = table_copies_of(self._ground, self._ground.fleet.cluster(given["cluster"]))
        living = await self._living(given["cluster"], given["database"], context.application_name)
        return {"dropped": await copies.drop(living, _name(given["into"]), mark=_mark(context))}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """See that it is there with our mark."""
        given = context.input
        copies = table_copies_of(self._ground, self._ground.fleet.cluster(given["cluster"]))
        living = await self._living(given["cluster"], given["database"], context.application_name)
        found = await copies.copied(living, _name(given["into"]), mark=_mark(context))
        detail = "is gone" if found is None else f"holds {format_bytes(found.bytes)}"
        return (Verification(subject=str(_name(given["into"])), holds=found is not None, detail=detail),)

    async def _living(self, cluster: str, database: str | None, purpose: str) -> Access:
        found = await find_primary_access(self._ground, self._ground.fleet.cluster(cluster), purpose=purpose)
        return patient(found, database=database)


def _effects(cluster: Cluster, into: str, size: int) -> tuple[str, ...]:
    left_out = "other constraints, foreign keys, indexes, defaults, sequences, triggers and grants do not"
    return (
        f"{cluster.name} gets {format_bytes(size)} at most, its log and replicas likewise",
        f"columns, types, NOT NULL and primary key come along; {left_out}: the result names those that there were",
        f"{into} belongs to {printable(cluster.user or 'the login of dbre', limit=100)}: others need a grant to read it",
    )


def _name(parts: Sequence[str]) -> TableName:
    return TableName(parts[0], parts[1])


def _mark(context: StepContext) -> str:
    return f"made by dbre operation {context.token.operation_id}"
