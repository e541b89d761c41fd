"""From what somebody asks for to a plan: the input validated, the target looked at, nothing changed."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dbre.core.clock import Clock
from dbre.core.errors import Unreachable, UsageError
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.plan import PlannedOperation, canonical
from dbre.core.operation.session_name import planning_name
from dbre.core.text import printable

__all__ = ["PLAN_SECONDS", "input_problems", "make_plan", "validated_input"]

PLAN_SECONDS = 60.0
"""How long an operation may look at its target before it has a plan."""

_PROBLEMS = 5


def validated_input(definition: Operation[Any], asked: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The input as the operation's own document, and as the JSON that is stored with the plan, defaults filled in.

    Raises: UsageError, naming each field that does not fit.
    """
    try:
        document = definition.document.model_validate(dict(asked))
    except ValidationError as error:
        raise _not_taken(definition.kind, error) from error
    stored = document.model_dump(mode="json")
    canonical(stored)
    return document, stored


async def make_plan(
    definition: Operation[Any], asked: Mapping[str, Any], *, clock: Clock, requested_by: str
) -> PlannedOperation:
    """Validate the input and let the operation plan.

    Raises: UsageError; Unreachable where it takes longer than ``PLAN_SECONDS``; whatever the operation refuses with.
    """
    document, stored = validated_input(definition, asked)
    name = planning_name(definition.kind, requested_by)
    context = PlanContext(clock=clock, requested_by=requested_by, application_name=name)
    try:
        async with asyncio.timeout(PLAN_SECONDS) as limit:
            plan = await definition.plan(context, document)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Unreachable(
            f"planning {definition.kind} took longer than {PLAN_SECONDS:.0f} s, so nothing was begun",
            hint="see whether the instances answer: dbre fleet doctor",
        ) from error
    planned = PlannedOperation(kind=definition.kind, definition_version=definition.version, input=stored, plan=plan)
    canonical(planned.document())
    return planned


def input_problems(error: ValidationError) -> str:
    """What is wrong with an input, field by field, in one line and without the words of the library that found it."""
    found = error.errors(include_input=False, include_url=False)
    words = [f"{_place(one['loc'])}: {_words(one)}" for one in found[:_PROBLEMS]]
    more = f"; and {len(found) - _PROBLEMS} more" if len(found) > _PROBLEMS else ""
    return printable("; ".join(words), limit=1000) + more


def _not_taken(kind: str, error: ValidationError) -> UsageError:
    found = error.errors(include_input=False, include_url=False)
    return UsageError(
        f"{kind} cannot take this input: {input_problems(error)}",
        hint="correct the fields that are named; every command shows its own with --help",
        context={"kind": kind, "fields": [_place(one["loc"]) for one in found[:_PROBLEMS]]},
    )


def _words(problem: Mapping[str, Any]) -> str:
    """The text of one problem: ``Value error, `` is the library's, and says nothing."""
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        return "is no field of it"
    return str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")


def _place(parts: tuple[int | str, ...]) -> str:
    return printable(".".join(["input", *map(str, parts)]), limit=200)
