"""The ladder: what each level of a drill looks at (backup.md 4.6)."""

from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["LEVELS", "NOTHING_PASSED", "failed", "inconclusive", "passed"]

LEVELS = {
    "L0": "a set before the target, with its chain and its log, is in the catalog",
    "L1": "every file of every member equals its manifest, before anything is made of them",
    "L2": "the log is there without a hole, and every record of it has a good CRC",
    "L3": "a server boots from it, reaches the target, and takes a write",
    "L4": "pages, indexes, constraints and extensions are sound",
    "L5": "the data are those that were acknowledged: canary chain, rows, questions about the business",
    "L6": "the application says that it can work with it",
}
NOTHING_PASSED = "none"


def passed(level: str, name: str, detail: str, seconds: float = 0.0, **evidence: object) -> RestoredResult:
    """A result that speaks for the backup."""
    return _result(level, name, CheckOutcome.PASS, detail, seconds, evidence)


def failed(level: str, name: str, detail: str, seconds: float = 0.0, **evidence: object) -> RestoredResult:
    """A result that speaks against the backup."""
    return _result(level, name, CheckOutcome.FAIL, detail, seconds, evidence)


def inconclusive(level: str, name: str, detail: str, seconds: float = 0.0, **evidence: object) -> RestoredResult:
    """A result of somebody who could not look."""
    return _result(level, name, CheckOutcome.INCONCLUSIVE, detail, seconds, evidence)


def _result(
    level: str, name: str, outcome: CheckOutcome, detail: str, seconds: float, evidence: dict[str, object]
) -> RestoredResult:
    return RestoredResult(level=level, name=name, outcome=outcome, detail=detail, seconds=seconds, evidence=evidence)
