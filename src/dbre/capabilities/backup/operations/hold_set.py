"""``backup.hold`` and ``backup.release``: keep a set whatever the retention says, and no longer."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.backup.catalog.sets import change_state, find_set, set_hold, set_named
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.taking.planning import lock_target
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.errors import Refused, UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.store import Store
from dbre.core.text import one_line, quoted

__all__ = ["HoldInput", "HoldSet", "ReleaseInput", "ReleaseSet"]

_HOLDABLE = frozenset({SetState.SEALED, SetState.TOMBSTONED})


class HoldInput(BaseModel):
    """Which set is kept, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Annotated[str, Field(min_length=1, max_length=80)]
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class ReleaseInput(BaseModel):
    """Which set is no longer kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: Annotated[str, Field(min_length=1, max_length=80)]


class _Holding:
    """What both operations need."""

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    @property
    def _store(self) -> Store:
        if self._ground.store is None:
            raise UsageError("sets are kept in a state store, and none is open here", hint="dbre db status")
        return self._ground.store

    async def _named(self, text: str) -> BackupSet:
        async with self._store.read() as connection:
            return await set_named(connection, text)

    def _plan(self, found: BackupSet, *, reason: str | None, summary: str) -> Plan:
        before = found.hold
        given = {"set": found.id, "reason": reason, "before": before}
        steps = [
            Step(f"mark:{name}", summary=f"tell vault {name}", input={**given, "vault": name}, undo="unmark")
            for name in found.vaults
        ]
        steps.append(Step("note", summary="note it in the catalog", input=given, undo="unnote"))
        return Plan(
            target=lock_target(found.cluster),
            summary=summary,
            steps=tuple(steps),
            risk=Risk.MILD,
            changes=(Change(subject=f"set {found.id}: hold", before=before, after=reason),),
            observed={"set": found.id, "vaults": list(found.vaults)},
        )

    async def _mark(self, context: StepContext, reason: str | None) -> Mapping[str, Any]:
        set_id = context.input["set"]
        async with open_set_vault(self._ground, context.input["vault"]) as vault:
            await vault.hold(set_id, reason)
            there = (await vault.catalog(None)).get(set_id)
            if reason is not None and there is not None and there.state is SetState.TOMBSTONED:
                await vault.revive([set_id], [], reason)
        return {"set": set_id, "vault": context.input["vault"], "hold": reason}

    async def _note(self, context: StepContext, reason: str | None) -> Mapping[str, Any]:
        set_id = context.input["set"]
        async with self._store.begin() as connection:
            await set_hold(connection, set_id, reason)
        return {"set": set_id, "hold": reason}

    @step(timeout_seconds=300.0, idempotent=True)
    async def mark(self, context: StepContext) -> Mapping[str, Any]:
        """Tell one vault."""
        return await self._mark(context, context.input["reason"])

    @step(timeout_seconds=300.0, idempotent=True)
    async def unmark(self, context: StepContext) -> Mapping[str, Any]:
        """Tell the vault what was so before."""
        return await self._mark(context, context.input["before"])

    @step(timeout_seconds=60.0, idempotent=True)
    async def note(self, context: StepContext) -> Mapping[str, Any]:
        """Note it in the catalog."""
        return await self._note(context, context.input["reason"])

    @step(timeout_seconds=60.0, idempotent=True)
    async def unnote(self, context: StepContext) -> Mapping[str, Any]:
        """Note what was so before."""
        return await self._note(context, context.input["before"])

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Read the catalog again."""
        given = context.input
        async with self._store.read() as connection:
            found = await find_set(connection, given["set"])
        detail = f"held: {found.hold}" if found.hold is not None else "not held"
        return (Verification(subject=f"set {found.id}", holds=found.hold == given["reason"], detail=detail),)


class HoldSet(_Holding, Operation[HoldInput]):
    """Keep a set, and all on which it stands, until it is released; one that is marked already comes back."""

    kind, version = "backup.hold", 1
    document = HoldInput

    async def plan(self, context: PlanContext, asked: HoldInput) -> Plan:  # noqa: ARG002 - the signature of all plans
        """Find the set. Raises: NoSuchSet; Refused for one that is no set any more, or not yet."""
        found = await self._named(asked.set)
        if found.state not in _HOLDABLE:
            raise Refused(
                f"set {found.id} is {found.state}: there is nothing to keep", hint="hold a sealed one (dbre backup list)"
            )
        reason = one_line(asked.reason, limit=500)
        return self._plan(found, reason=reason, summary=f"keep set {found.id} of {found.cluster}: {reason}")

    @step(timeout_seconds=60.0, idempotent=True)
    async def note(self, context: StepContext) -> Mapping[str, Any]:
        """Note it; a set in its grace is an ordinary one again, so that nobody deletes it meanwhile."""
        done = await self._note(context, context.input["reason"])
        async with self._store.begin() as connection:
            await change_state(connection, context.input["set"], SetState.SEALED, expected=[SetState.TOMBSTONED])
        return done


class ReleaseSet(_Holding, Operation[ReleaseInput]):
    """Let the retention decide on a set again."""

    kind, version = "backup.release", 1
    document = ReleaseInput

    async def plan(self, context: PlanContext, asked: ReleaseInput) -> Plan:  # noqa: ARG002 - the signature of all plans
        """Find the set. Raises: NoSuchSet; UsageError for one that is not held."""
        found = await self._named(asked.set)
        if found.hold is None:
            raise UsageError(f"set {quoted(found.id, limit=80)} is not held", hint="dbre backup list --held")
        return self._plan(found, reason=None, summary=f"let the retention decide on set {found.id} of {found.cluster} again")
