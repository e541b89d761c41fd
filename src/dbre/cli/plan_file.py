"""A plan in a file, as ``--dry-run -o json`` wrote it."""

import json
import sys
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.operation.plan import PlannedOperation
from dbre.core.text import printable

__all__ = ["read_plan"]

_LARGEST_PLAN = 16 * 2**20


def read_plan(path: Path) -> PlannedOperation:
    """Read it; ``-`` is standard input.

    Raises: UsageError for a file that cannot be read, is too large, holds no plan, or was changed since.
    """
    shown = "standard input" if str(path) == "-" else printable(str(path), limit=300)
    try:
        data = sys.stdin.buffer.read(_LARGEST_PLAN + 1) if str(path) == "-" else _read(path)
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST_PLAN:
        raise UsageError(f"{shown} is larger than {_LARGEST_PLAN // 2**20} MiB, which no plan is")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown} holds no JSON", hint="make one: dbre ... --dry-run -o json > plan.json") from error
    if not isinstance(document, dict):
        raise UsageError(f"{shown} holds no plan", hint="make one: dbre ... --dry-run -o json > plan.json")
    planned = PlannedOperation.from_document(document)
    given = document.get("plan_hash")
    if given is not None and given != planned.hash:
        raise UsageError(
            f"{shown} was changed after it was made: its hash is {planned.hash[:12]}, not {printable(str(given), limit=12)}",
            hint="make a new one: dbre ... --dry-run -o json > plan.json",
        )
    return planned


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST_PLAN + 1)
