"""How probe clients are put together with the checkers that judge them, which are another capability."""

import sys
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.consistency.checking import check_history
from dbre.capabilities.consistency.errors import HistoryTooLarge
from dbre.capabilities.consistency.files import opened
from dbre.capabilities.consistency.ledger import LedgerRead, LedgerWrite, WriteOutcome, balance
from dbre.capabilities.consistency.reading import read_history
from dbre.capabilities.ha.clients.ground import (
    Anomaly,
    Balance,
    ClientGround,
    HistoryVerdict,
    LedgerEntry,
    LedgerLook,
    NodeOverlap,
)
from dbre.core.errors import Unsupported
from dbre.core.fleet import Fleet
from dbre.ports.engine import EngineRegistry

__all__ = ["client_ground"]


def client_ground(fleet: Fleet, engines: EngineRegistry) -> ClientGround:
    """What probe clients stand on."""
    return ClientGround(
        fleet=fleet,
        engines=engines,
        program=(sys.executable, "-P", "-m", "dbre.probe_client"),
        check=_check,
        weigh=_weigh,
    )


def _check(history: Path, *, workload: str, model: str | None) -> HistoryVerdict:
    """What the checker says; where it cannot judge, for want of an extra or of room, nothing is known."""
    try:
        with opened(str(history)) as file:
            found = check_history(read_history(file), workload=workload, model=model)
    except (Unsupported, HistoryTooLarge) as error:
        return HistoryVerdict(verdict="unknown", model=model or "", unknown=[error.message])
    return HistoryVerdict(
        verdict=found.verdict.value,
        model=found.model,
        anomalies=[
            Anomaly(name=one.name, count=one.count, is_violation=one.is_violation, summary=one.summary, proof=one.proof)
            for one in found.anomalies
        ],
        unknown=found.unknown,
        facts=found.facts,
    )


def _weigh(writes: Sequence[LedgerEntry], final: Sequence[int], reads: Sequence[LedgerLook]) -> Balance:
    account = balance(
        [
            LedgerWrite(id=one.id, sent_at=one.sent_at, acked_at=one.acked_at, outcome=_outcome(one), node=one.node)
            for one in writes
        ],
        final,
        reads=[LedgerRead(began_at=one.began_at, ended_at=one.ended_at, seen=one.seen, node=one.node) for one in reads],
    )
    return Balance(
        lost=account.lost,
        phantom=account.phantom,
        duplicate=account.duplicate,
        resurrected=account.resurrected,
        unexpected=account.unexpected,
        stale=[one.id for one in account.stale],
        overlaps=[
            NodeOverlap(old=one.old, new=one.new, new_first_at=one.new_first_at, after=one.after) for one in account.overlaps
        ],
    )


def _outcome(entry: LedgerEntry) -> WriteOutcome:
    if entry.acked_at is not None:
        return WriteOutcome.OK
    return WriteOutcome.FAILED if entry.is_certain_failure else WriteOutcome.UNKNOWN
