"""What a rejoin did, out of its journal: for its own command, and for operations of which it is a part."""

from typing import Any

from dbre.core.operation.model import OperationRecord

__all__ = ["outcome_of", "results_of"]


def results_of(record: OperationRecord) -> dict[str, Any]:
    """What each step gave that came to its end."""
    return {one.name: one.result or {} for one in record.steps if one.phase == "do"}


def outcome_of(record: OperationRecord) -> dict[str, Any]:
    """How it came back, in which time, and what only it had."""
    done = results_of(record)
    brought, evidence = done.get("align") or done.get("follow", {}), done.get("evidence", {})
    return {
        "way": brought.get("way"),
        "seconds": brought.get("seconds"),
        "lost": [one["text"] for one in done.get("compare", {}).get("lost", ())],
        "lost_transactions": evidence.get("transactions"),
        "lost_writes": evidence.get("file"),
    }
