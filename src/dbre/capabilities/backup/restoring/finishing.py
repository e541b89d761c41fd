"""A server at its target made one that people may use: promoted, checked, erased again what was erased, stopped cleanly."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.core.text import printable
from dbre.ports.backup.engine import RecoveredServer
from dbre.ports.backup.model import Phase, RecoveryOutcome
from dbre.ports.restored_checks import CheckedServer, RestoredResult

__all__ = ["Finished", "finish", "outcome_document", "phase_documents", "phases_from"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What was done to a recovered server before it was handed over."""

    phases: tuple[Phase, ...]
    results: tuple[RestoredResult, ...]
    hooks: tuple[Mapping[str, object], ...]


async def finish(ground: BackupGround, plan: RestorePlan, server: RecoveredServer, *, check: bool) -> Finished:
    """Promote, answer that it is there, check where asked, run the hooks, and stop it so that it starts without the jail.

    Hooks come last and after the promotion, as they write: erasures that were done after the target are done again before
    anybody can connect. A hook that fails fails the restore.
    """
    phases = [await server.promote()]
    began = time.monotonic()
    engine = ground.engines.get(plan.engine)
    restored = engine.connect(server.access)
    try:
        await restored.session.identify()
        checked = CheckedServer(
            server=restored, access=server.access, cluster=plan.cluster, engine=plan.engine, databases=_databases(ground, plan)
        )
        results = [result for one in (ground.checks if check else ()) for result in await one.run(checked)]
        hooks = [await hook(restored, plan.cluster) for hook in ground.after_restore]
    finally:
        await restored.aclose()
    phases.append(Phase(name="check", seconds=time.monotonic() - began))
    await server.stop(keep=True)
    return Finished(phases=tuple(phases), results=tuple(results), hooks=tuple(hooks))


def _databases(ground: BackupGround, plan: RestorePlan) -> tuple[str, ...]:
    """Of the inventory, where it still has the cluster."""
    return next((one.databases for one in ground.fleet.clusters if one.name == plan.cluster), ())


def outcome_document(outcome: RecoveryOutcome) -> dict[str, Any]:
    """Where recovery ended, as JSON."""
    return {
        "has_reached_target": outcome.has_reached_target,
        "reason": printable(outcome.reason, limit=500),
        "position": printable(outcome.position.text, limit=100) if outcome.position else None,
        "last_commit_at": outcome.last_commit_at.isoformat() if outcome.last_commit_at else None,
        "timeline": outcome.timeline,
        "is_jailed": outcome.is_jailed,
        "jail": dict(outcome.jail),
    }


def phase_documents(phases: Sequence[Phase]) -> list[dict[str, Any]]:
    """Phases as JSON."""
    return [{"name": one.name, "seconds": round(one.seconds, 3), "bytes": one.bytes} for one in phases]


def phases_from(documents: Sequence[Mapping[str, Any]]) -> list[Phase]:
    """Back to phases."""
    return [Phase(name=one["name"], seconds=one["seconds"], bytes=one["bytes"]) for one in documents]
