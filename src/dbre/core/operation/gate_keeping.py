"""Asking the gates about one operation, and keeping what they said until the next page of the journal."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates, GateUnknown, question_for
from dbre.core.gates.model import GateDecision, GateVerdict, Moment
from dbre.core.operation.hand import Hand
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import load

__all__ = ["Asked", "GateKeeping"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the gates said at one moment."""

    moment: Moment
    step: str | None
    decisions: tuple[GateDecision, ...]  # the worst first
    news: tuple[GateDecision, ...]  # those that differ from what the gate said before

    def worst(self, verdict: GateVerdict) -> GateDecision | None:
        """The first decision of that verdict, if it is the worst."""
        return self.decisions[0] if self.decisions and self.decisions[0].verdict is verdict else None


class GateKeeping:
    """The gates, for the operations of one runner."""

    def __init__(self, gates: Gates, fleet: Fleet, clock: Clock) -> None:
        self._gates = gates
        self._fleet = fleet
        self._clock = clock

    def has_any(self, record: OperationRecord) -> bool:
        """Whether any gate is to be asked about it."""
        return bool(record.planned.plan.gates or self._gates.asked_for(record.planned))

    async def ask(self, record: OperationRecord, moment: Moment, step: str | None, *, parent_ids: Sequence[UUID] = ()) -> Asked:
        """Ask all at once. ``record`` comes with its overrides and earlier decisions."""
        question = question_for(
            record.planned,
            self._fleet,
            requested_by=record.requested_by,
            at=self._clock.now(),
            operation_id=record.id,
            moment=moment,
            step=step,
            parent_ids=parent_ids,
        )
        try:
            decisions = await self._gates.ask(question, overrides=[one.gate for one in record.overrides])
        except GateUnknown as error:  # another version of dbre planned it, with a gate that this one lacks
            name = str(error.context.get("gate", "unknown"))[:63]
            decisions = (GateDecision(gate=name, verdict=GateVerdict.HOLD, reason=error.message),)
        return Asked(moment=moment, step=step, decisions=decisions, news=news(record, decisions))

    async def ask_running(self, hand: Hand, moment: Moment, step: str | None) -> Asked:
        """The same of one that runs; where a gate stands in its way, with what people have overridden meanwhile."""
        record = hand.position.record
        asked = await self.ask(record, moment, step, parent_ids=hand.parent_ids)
        if not asked.decisions or asked.decisions[0].verdict is GateVerdict.ALLOW:
            return asked
        try:
            async with hand.pen.store.read() as connection:
                overrides = (await load(connection, record.id)).overrides
        except StoreError:
            return asked  # what is known stands
        if overrides == record.overrides:
            return asked
        return await self.ask(replace(record, overrides=overrides), moment, step, parent_ids=hand.parent_ids)


def news(record: OperationRecord, decisions: Sequence[GateDecision]) -> tuple[GateDecision, ...]:
    """Decisions whose verdict differs from the last one of their gate in the record; reasons change with every number."""
    last = {one.gate: (one.verdict, one.is_overridden) for one in record.gates}
    return tuple(one for one in decisions if last.get(one.gate) != (one.verdict.value, one.is_overridden))
