"""The ledger of acknowledged writes as a workload: histories of writes with the node that answered, and reads of all ids."""

from collections.abc import Sequence
from typing import Any, ClassVar

from dbre.capabilities.consistency.checker import Outcome, Question
from dbre.capabilities.consistency.errors import HistoryInvalid
from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.ledger import Account, LedgerRead, LedgerWrite, WriteOutcome, balance
from dbre.capabilities.consistency.values import frozen, item_list, plain, unknown_act

__all__ = ["Ledger"]

_OUTCOMES = {OpType.OK: WriteOutcome.OK, OpType.FAIL: WriteOutcome.FAILED, OpType.INFO: WriteOutcome.UNKNOWN}
_SUMMARIES = {
    "lost": "a write was acknowledged and is not there",
    "unexpected": "something is there that nobody wrote",
    "resurrected": "a write failed for certain and is there all the same: errors are taken for what they are not",
    "duplicate": "a write is there more than once",
    "overlap": "a node acknowledged writes that were sent after another one had begun to acknowledge",
    "stale": "a read lacked what was acknowledged before it began",
}
_OF_MODEL = {
    "durable": {"lost", "unexpected", "resurrected", "duplicate"},
    "single-primary": {"lost", "unexpected", "resurrected", "duplicate", "overlap"},
    "linearizable": set(_SUMMARIES),
}


class Ledger:
    """``write`` of an id that is written once, and ``read`` of all ids; the last read says what is there."""

    models: ClassVar[Sequence[str]] = tuple(_OF_MODEL)

    def __init__(self) -> None:
        self._writes: dict[Any, LedgerWrite] = {}
        self._reads: list[LedgerRead] = []

    def add(self, call: Call) -> None:
        """Take in one call."""
        if call.f not in ("write", "read"):
            raise unknown_act(call, "write", "read")
        if call.f == "write":
            name = frozen(call.asked)
            if name in self._writes:
                raise HistoryInvalid(
                    f"op {call.began}: {plain(name)} is written once more, after op {int(self._writes[name].sent_at)}",
                    hint="a write that is sent again gets an id of its own",
                )
            self._writes[name] = LedgerWrite(
                id=name,
                sent_at=call.began,
                acked_at=call.ended if call.type is OpType.OK else None,
                outcome=_OUTCOMES[call.type],
                node=call.node,
            )
        elif call.type is OpType.OK and call.ended is not None:
            seen = item_list(call.value, call)
            self._reads.append(LedgerRead(began_at=call.began, ended_at=call.ended, seen=seen, node=call.node))

    def judge(self, asked: Question, /) -> Outcome:
        """The balance of the last read, if it began after the last acknowledgement."""
        if not self._reads:
            return Outcome(unknown=["nothing was read: what is there in the end is not known"])
        reads = sorted(self._reads, key=lambda read: read.began_at)
        account = balance(list(self._writes.values()), reads[-1].seen, reads=reads[:-1])
        last_ack = max((one.acked_at for one in self._writes.values() if one.acked_at is not None), default=-1)
        unknown = []
        if last_ack > reads[-1].began_at:
            early = sum(one.acked_at is not None and one.acked_at > reads[-1].began_at for one in self._writes.values())
            unknown.append(f"the last read began before the last acknowledgements: {early} writes are not accounted for")
        found = self._found(account, int(reads[-1].began_at))
        return Outcome(
            anomalies=found.anomalies(lambda name: name in _OF_MODEL[asked.model], _SUMMARIES),
            unknown=unknown,
            facts={
                "acknowledged": account.acknowledged,
                "lost": found.counts.get("lost", 0),
                "phantom": len(account.phantom),
                "nodes": len(account.nodes),
            },
        )

    def _found(self, account: Account, final: int) -> Found:
        found, writes = Found(), self._writes
        for one in account.lost:
            acked_at = writes[one].acked_at
            if acked_at is not None and acked_at < final:
                by = f" by {plain(writes[one].node)}" if writes[one].node else ""
                sent = int(writes[one].sent_at)
                found.add(
                    "lost", [sent, final], f"op {sent} wrote {plain(one)}, acknowledged{by}", f"op {final} does not have it"
                )
        for one in account.unexpected:
            found.add("unexpected", [final], f"op {final} read {plain(one)}", "nobody tried to write it")
        for one in account.resurrected:
            sent = int(writes[one].sent_at)
            found.add("resurrected", [sent, final], f"op {sent} wrote {plain(one)}, and failed", f"op {final} read it")
        for one in account.duplicate:
            found.add("duplicate", [final], f"op {final} read {plain(one)} more than once")
        for stale in account.stale:
            began, sent = int(stale.read.began_at), int(writes[stale.id].sent_at)
            proof = f"op {sent} wrote {plain(stale.id)}, acknowledged before op {began}", f"op {began} did not read it"
            found.add("stale", [sent, began], *proof)
        for overlap in account.overlaps:
            after = [int(writes[one].sent_at) for one in overlap.after]
            proof = (
                f"{plain(overlap.new)} acknowledged first at op {int(overlap.new_first_at)}",
                f"{plain(overlap.old)} acknowledged {len(after)} writes that were sent later, first op {min(after)}",
            )
            found.add("overlap", [min(after)], *proof, times=len(after))
        return found
