"""Inputs and results of steps as hashes: the audit log tells what a step was given and what it gave without repeating it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dbre.core.operation.evidence.redacting import redacted
from dbre.core.operation.plan import Step, canonical

__all__ = ["input_hash", "result_hash"]


def input_hash(step: Step) -> str:
    """SHA-256 of the canonical JSON of the step's input."""
    return hashlib.sha256(canonical(dict(step.input))).hexdigest()


def result_hash(result: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of the result as an evidence pack shows it: read back from the store, and redacted."""
    return hashlib.sha256(canonical(redacted(json.loads(json.dumps(dict(result)))))).hexdigest()
