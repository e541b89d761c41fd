"""From what was asked to the order of one drill: which moment, from which set; drawn once, the same whenever it is repeated."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from dbre.capabilities.backup.catalog.sets import set_named
from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.drilling.documents import DrillInput
from dbre.capabilities.backup.drilling.draw import draw_moment
from dbre.capabilities.backup.drilling.order import DrillOrder
from dbre.capabilities.backup.drilling.planning import load_known, plan_drill
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.intervals import recovery_intervals
from dbre.capabilities.backup.log.origin import find_origin
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.target import TargetText, parse_target
from dbre.core.operation.context import StepContext
from dbre.core.store import Store
from dbre.ports.backup.model import LogPosition, RecoveryTarget, TargetKind

__all__ = ["WORDS", "check_target", "choose_order"]

WORDS = ("random", "latest", "restore_point")
_PATIENCE = timedelta(minutes=2)
_LOOK_SECONDS = 1.0


def check_target(ground: BackupGround, text: str) -> None:
    """Raises: InvalidTarget for a target that is neither a word nor a moment of the past with its offset."""
    if text not in WORDS:
        parse_target(TargetText(to=text), now=ground.clock.now())


async def choose_order(
    ground: BackupGround, store: Store, policy: PolicyDocument, asked: DrillInput, context: StepContext
) -> DrillOrder:
    """Choose. ``restore_point`` is where the log ends now, and waits until that is out of the server's hands."""
    word = asked.target or policy.drill.target
    order = DrillOrder(
        id=context.token.operation_id,
        cluster=asked.cluster,
        target=RecoveryTarget(kind=TargetKind.LATEST),
        position=None,
        set_id=await _set_id(store, asked),
        mode=asked.mode or policy.drill.mode,
        asked_at=ground.clock.now(),
    )
    if word != "restore_point":
        return replace(order, target=await _target(ground, store, asked.cluster, word, order.id))
    target, position = await _point(ground, policy, asked.cluster)
    order = replace(order, target=target, position=position)
    await _wait_for_log(ground, store, policy, context, order)
    return order


async def _set_id(store: Store, asked: DrillInput) -> str | None:
    if asked.set_id is None:
        return None
    async with store.read() as connection:
        return (await set_named(connection, asked.set_id)).id


async def _target(ground: BackupGround, store: Store, cluster: str, word: str, seed: UUID) -> RecoveryTarget:
    if word == "latest":
        return RecoveryTarget(kind=TargetKind.LATEST)
    now = ground.clock.now()
    if word != "random":
        return parse_target(TargetText(to=word), now=now)
    known = await load_known(store, cluster)
    intervals = recovery_intervals(known.catalog, known.samples)
    if not intervals and any(one.state is SetState.SEALED and one.start is None for one in known.catalog.sets):
        return RecoveryTarget(kind=TargetKind.LATEST)  # no log goes with dumps: there is nothing to draw from
    return draw_moment(intervals, seed=seed, not_after=now)


async def _point(ground: BackupGround, policy: PolicyDocument, cluster: str) -> tuple[RecoveryTarget, LogPosition]:
    """Where the log of the primary ends now."""
    origin = await find_origin(ground, ground.fleet.cluster(cluster), policy)
    position = await origin.port.position(origin.access)
    return RecoveryTarget(kind=TargetKind.POSITION, value=position.text, timeline=position.timeline), position


async def _wait_for_log(
    ground: BackupGround, store: Store, policy: PolicyDocument, context: StepContext, order: DrillOrder
) -> None:
    """Wait as long as the log may take to get out; what is not there then is what the drill finds out."""
    limit = ground.clock.monotonic() + (policy.log.seal_after + _PATIENCE).total_seconds()
    while ground.clock.monotonic() < limit:
        await context.checkpoint()
        try:
            plan = plan_drill(await load_known(store, order.cluster), order)
        except NoSetForTarget:
            return
        if plan.loss is None:
            return
        await context.progress(0, None, "waiting for the log to be stored")
        await ground.clock.sleep(_LOOK_SECONDS)
