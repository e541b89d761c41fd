"""A drill as the result of a step, and from there into the catalog, together with its proof and its phases."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.drills import get_drill, insert_drill
from dbre.capabilities.backup.catalog.phases import RestorePhase, record_phases
from dbre.capabilities.backup.catalog.positions import position_of, position_value
from dbre.capabilities.backup.catalog.sets import get_set, mark_proven
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import Drill, DrillVerdict
from dbre.core.errors import DbreError
from dbre.core.events import EventLog
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.backup.model import Phase
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["DRILL_ENDED", "drill_of", "evidence_of", "record_drill", "tell_vaults"]

DRILL_ENDED = "backup.drill_ended"
"""The event that every drill leaves behind; its data say the verdict."""

_PLAIN = (
    "cluster", "set_id", "system_id", "target_kind", "target_value", "mode", "recovery_point_seconds",
    "recovery_time_seconds", "reason", "level",
)  # fmt: skip


def evidence_of(drill: Drill) -> dict[str, Any]:
    """The whole drill as JSON: the result of its step, which the operation's evidence pack signs."""
    return {name: getattr(drill, name) for name in _PLAIN} | {
        "id": str(drill.id),
        "operation_id": str(drill.operation_id) if drill.operation_id else None,
        "started_at": drill.started_at.isoformat(),
        "ended_at": drill.ended_at.isoformat(),
        "reached": position_value(drill.reached),
        "reached_commit_at": drill.reached_commit_at.isoformat() if drill.reached_commit_at else None,
        "phases": [asdict(one) for one in drill.phases],
        "results": [_result_document(one) for one in drill.results],
        "verdict": drill.verdict.value,
    }


def drill_of(document: Mapping[str, Any]) -> Drill:
    """Back to the drill."""
    commit = document["reached_commit_at"]
    return Drill(
        **{name: document[name] for name in _PLAIN},
        id=UUID(document["id"]),
        operation_id=UUID(document["operation_id"]) if document["operation_id"] else None,
        started_at=datetime.fromisoformat(document["started_at"]),
        ended_at=datetime.fromisoformat(document["ended_at"]),
        reached=position_of(document["reached"]),
        reached_commit_at=datetime.fromisoformat(commit) if commit else None,
        phases=tuple(Phase(**one) for one in document["phases"]),
        results=tuple(RestoredResult(**{**one, "outcome": CheckOutcome(one["outcome"])}) for one in document["results"]),
        verdict=DrillVerdict(document["verdict"]),
    )


def _result_document(one: RestoredResult) -> dict[str, Any]:
    return {
        "level": one.level,
        "name": one.name,
        "outcome": one.outcome.value,
        "detail": one.detail,
        "seconds": one.seconds,
        "evidence": dict(one.evidence),
    }


async def record_drill(ground: BackupGround, store: Store, document: Mapping[str, Any]) -> dict[str, Any]:
    """Write it once; a set that passed, with every member under it, is proven."""
    drill = drill_of(document)
    async with store.begin() as connection:
        if await get_drill(connection, drill.id) is None:
            await insert_drill(connection, drill)
            chain = await _chain(connection, drill.set_id)
            if drill.verdict is DrillVerdict.PASS:
                for set_id in chain:
                    await mark_proven(connection, set_id, drill.ended_at)
            await record_phases(connection, await _phases(connection, drill))
            await EventLog(ground.clock).emit(
                connection,
                kind=DRILL_ENDED,
                subject=f"cluster/{drill.cluster}",
                data={
                    "drill": str(drill.id),
                    "verdict": drill.verdict.value,
                    "reason": drill.reason,
                    "level": drill.level,
                    "set": drill.set_id,
                    "recovery_point_seconds": drill.recovery_point_seconds,
                    "recovery_time_seconds": drill.recovery_time_seconds,
                },
            )
    return {"drill": str(drill.id), "verdict": drill.verdict.value}


async def tell_vaults(ground: BackupGround, store: Store, document: Mapping[str, Any]) -> list[str]:
    """Note the proof in the vaults too, where it outlives the state store; what a vault objects to, in words.

    A vault that cannot be written to makes no drill fail: it was read, and that was what was to be proved.
    """
    from dbre.capabilities.backup.vault.opening import open_vault

    drill = drill_of(document)
    if drill.verdict is not DrillVerdict.PASS:
        return []
    async with store.read() as connection:
        sets = [await get_set(connection, set_id) for set_id in await _chain(connection, drill.set_id)]
    objections = []
    for set_id, name in [(one.id, name) for one in sets if one is not None for name in one.vaults]:
        try:
            async with open_vault(ground, name) as vault:
                await vault.mark_proven(set_id, drill.ended_at)
        except DbreError as error:
            objections.append(f"vault {name} does not know of the proof: {printable(error.message, limit=300)}")
    return objections


async def _chain(connection: AsyncConnection, set_id: str | None) -> list[str]:
    """The set and all that it stands on."""
    found: list[str] = []
    while set_id is not None and set_id not in found:
        one = await get_set(connection, set_id)
        if one is None:
            break
        found.append(one.id)
        set_id = one.parent_id
    return found


async def _phases(connection: AsyncConnection, drill: Drill) -> list[RestorePhase]:
    if drill.set_id is None or drill.operation_id is None:
        return []
    one = await get_set(connection, drill.set_id)
    if one is None:  # expired meanwhile: a forecast has no use for it
        return []
    return [
        RestorePhase(
            operation_id=drill.operation_id,
            number=number,
            cluster=drill.cluster,
            engine=one.engine,
            vault=one.vaults[0] if one.vaults else None,
            phase=phase,
            is_faithful=drill.mode == "faithful",
            at=drill.ended_at,
        )
        for number, phase in enumerate(drill.phases)
    ]
