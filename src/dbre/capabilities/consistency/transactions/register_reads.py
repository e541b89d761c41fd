"""Reads of registers that are wrong by themselves: of values of nobody, of failed transactions, of what was overwritten."""

from dbre.capabilities.consistency.transactions.micro_ops import shown
from dbre.capabilities.consistency.transactions.rw_register import RegisterHistory

__all__ = ["examine_reads"]


def examine_reads(history: RegisterHistory) -> None:
    """Add what reads and updates show to the history's findings."""
    calls, found = history.calls, history.found
    initial = set(history.initial)
    for row, version in zip(history.read_row, history.read_version, strict=True):
        if version in initial:
            continue
        writer, key = history.writer[version], shown(history.keys[history.version_key[version]])
        value, name = shown(history.values[version]), calls.name(row)
        if writer < 0:
            found.add("garbage-read", [calls.began[row]], f"{name} read {key} as {value}", "nobody ever tried to write that")
        elif writer == row:
            found.add("future-read", [calls.began[row]], f"{name} read {key} as {value}", "and only then wrote that")
        elif calls.is_failed(writer):
            proof = f"{calls.name(writer)} wrote {value} to {key}, and failed", f"{name} read it all the same"
            found.add("G1a", [calls.began[writer], calls.began[row]], *proof)
        elif not history.is_final[version]:
            proof = f"{calls.name(writer)} wrote {value} to {key}, and something else afterwards", f"{name} read {value}"
            found.add("G1b", [calls.began[writer], calls.began[row]], *proof)
    for version, rows in history.followed.items():
        both = sorted({row for row in rows if calls.is_ok(row)})
        key = shown(history.keys[history.version_key[version]])
        for other in both[1:]:
            found.add(
                "lost-update",
                [calls.began[both[0]], calls.began[other]],
                f"{calls.name(both[0])} and {calls.name(other)} both read {key} as {shown(history.values[version])}, "
                "and both wrote to it",
                "whichever came second did not see the other",
            )
