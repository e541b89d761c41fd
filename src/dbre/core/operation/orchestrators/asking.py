"""What a command line says an operation is to be given, checked before it is written into a file that runs at night."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from dbre.core.errors import UsageError
from dbre.core.operation.definition import Operation
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.planning import input_problems
from dbre.core.text import quoted

__all__ = ["checked_input", "checked_plan", "parse_inputs"]


def parse_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """``KEY=TEXT`` and ``KEY:=JSON``; a key may not come twice.

    >>> parse_inputs(["cluster=orders", "limit:=5"])
    {'cluster': 'orders', 'limit': 5}

    Raises: UsageError.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        is_json = key.endswith(":")
        key = key.removesuffix(":")
        if not separator or not key or key in found:
            raise UsageError(
                f"--input {quoted(pair, limit=80)} is not KEY=VALUE with a key of its own", hint="-i cluster=orders"
            )
        try:
            found[key] = json.loads(text) if is_json else text
        except ValueError as error:
            raise UsageError(f"--input {key}: {quoted(text, limit=80)} is not JSON", hint="KEY=VALUE takes a text") from error
    return found


def checked_input(definition: Operation[Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The input as it was given, if the operation takes it. Raises: UsageError, naming every field that does not fit."""
    try:
        definition.document.model_validate(dict(asked))
    except ValidationError as error:
        missing = next((str(one["loc"][0]) for one in error.errors() if one["type"] == "missing" and one["loc"]), None)
        raise UsageError(
            f"{definition.kind} does not take this input: {input_problems(error)}",
            hint=f"--input {missing}=..." if missing else "--input KEY=VALUE, or --input KEY:=JSON",
        ) from error
    return dict(asked)


def checked_plan(data: bytes) -> dict[str, Any]:
    """The document of a plan, if it is one. Raises: UsageError."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError("the plan is not JSON", hint="dbre ... --dry-run -o json > plan.json") from error
    if not isinstance(found, dict):
        raise UsageError("the plan is no object", hint="dbre ... --dry-run -o json > plan.json")
    PlannedOperation.from_document(found)
    return found
