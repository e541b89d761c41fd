"""A plan: data that says what an operation will do, to be read, hashed, approved and stored before anything is done."""

import hashlib
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Any

import rfc8785

from dbre.core.errors import UsageError

__all__ = ["Change", "LockMode", "Plan", "PlannedOperation", "Risk", "Step", "canonical"]

Json = Mapping[str, Any]
"""An object of JSON: text keys; values are text, numbers, booleans, None, lists and objects."""


class Risk(StrEnum):
    """How much may go wrong, and so what a person is asked before it begins (cli.md, safety ladder)."""

    READ = "read"  # changes nothing: nobody is asked
    MILD = "mild"  # reversible, one object: acts at once
    MODERATE = "moderate"  # shows the plan and asks y/N
    SEVERE = "severe"  # the target's name must be typed


class LockMode(StrEnum):
    """How an operation holds its target."""

    EXCLUSIVE = "exclusive"  # alone
    SHARED = "shared"  # beside others that only read
    YIELDING = "yielding"  # alone, but what answers a failure goes on beside it: a fault on purpose is there to be answered
    RESCUE = "rescue"  # alone, but beside what yields: it answers a failure, also one that was made on purpose


@dataclass(frozen=True, slots=True)
class Step:
    """One act of a plan. ``name`` is unique in the plan; the part before a colon names the handler: ``restart:pg2``."""

    name: str
    _: KW_ONLY
    summary: str = ""  # for people, with numbers and units: "set work_mem from 4 MB to 64 MB on orders-1"
    input: Json = field(default_factory=dict)  # what the handler needs; no secrets
    undo: str | None = None  # the handler that undoes it, given the same input and this step's result; None: nothing to undo
    irreversible: bool = False  # a point of no return: later failures roll forward, never back past it
    estimate_seconds: float | None = None

    @property
    def handler(self) -> str:
        """The name of the handler."""
        return self.name.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that will be different afterwards; ``None`` for a value that is not there or not known."""

    subject: str  # "orders-1: work_mem"
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What ``Operation.plan`` gives. Everything in it is hashed, so it holds no moments and nothing that differs by chance."""

    target: str  # what is locked, as a path: cluster/orders, or cluster/orders/instance/orders-1
    summary: str  # one sentence: "set 2 parameters on 3 instances of orders"
    steps: tuple[Step, ...]
    risk: Risk = Risk.MODERATE
    lock: LockMode = LockMode.EXCLUSIVE
    gates: tuple[str, ...] = ()  # asked besides those that are asked always
    changes: tuple[Change, ...] = ()
    blast_radius: tuple[str, ...] = ()  # sentences: what else may feel it
    warnings: tuple[str, ...] = ()
    observed: Json = field(default_factory=dict)  # the facts that the plan relies on; another value voids the plan
    confirm: str | None = None  # what a severe act asks to be typed; None: the last part of the target
    tags: tuple[str, ...] = ()  # what gates may exempt: gates.scope.EXEMPT_TAGS
    estimate_seconds: float | None = None

    def __post_init__(self) -> None:
        """Raises: ValueError, a defect of the operation, where two steps have one name."""
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError(f"steps of a plan need names of their own: {', '.join(names)}")

    @property
    def confirmation(self) -> str:
        """What a person types to confirm a severe act."""
        return self.confirm or self.target.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOperation:
    """A plan together with what it is a plan of; its document is what is shown, hashed, approved, stored and run."""

    kind: str  # of the operation: settings.apply
    definition_version: int
    input: Json
    plan: Plan

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document, in hexadecimal."""
        return hashlib.sha256(canonical(self.document())).hexdigest()

    def document(self) -> dict[str, Any]:
        """The plan as JSON, without its hash."""
        plan = self.plan
        return {
            "api_version": "dbre/v1",
            "kind": "Plan",
            "operation": self.kind,
            "definition_version": self.definition_version,
            "input": dict(self.input),
            "target": plan.target,
            "summary": plan.summary,
            "risk": plan.risk.value,
            "lock": plan.lock.value,
            "gates": list(plan.gates),
            "steps": [_step_document(step) for step in plan.steps],
            "changes": [{"subject": one.subject, "before": one.before, "after": one.after} for one in plan.changes],
            "blast_radius": list(plan.blast_radius),
            "warnings": list(plan.warnings),
            "observed": dict(plan.observed),
            "confirm": plan.confirmation,
            "tags": list(plan.tags),
            "estimate_seconds": plan.estimate_seconds,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "PlannedOperation":
        """Read what ``document`` wrote; unknown keys are ignored if they are ``plan_hash`` or ``generated_at``, else refused.

        Raises: UsageError where a key is missing, unknown, or of another type.
        """
        known = {*_KEYS, "plan_hash", "generated_at"}
        if document.get("kind") != "Plan" or document.get("api_version") != "dbre/v1":
            raise UsageError("this is not a plan: it has no kind Plan of api_version dbre/v1", hint=_HINT)
        wrong = sorted((set(document) - known) | (set(_KEYS) - set(document)))
        if wrong:
            raise UsageError(f"the plan has unknown or missing keys: {', '.join(map(str, wrong))[:200]}", hint=_HINT)
        try:
            return cls(
                kind=str(document["operation"]),
                definition_version=int(document["definition_version"]),
                input=dict(document["input"]),
                plan=Plan(
                    target=str(document["target"]),
                    summary=str(document["summary"]),
                    risk=Risk(document["risk"]),
                    lock=LockMode(document["lock"]),
                    gates=tuple(map(str, document["gates"])),
                    steps=tuple(_step_from(one) for one in document["steps"]),
                    changes=tuple(Change(**one) for one in document["changes"]),
                    blast_radius=tuple(map(str, document["blast_radius"])),
                    warnings=tuple(map(str, document["warnings"])),
                    observed=dict(document["observed"]),
                    confirm=str(document["confirm"]),
                    tags=tuple(map(str, document["tags"])),
                    estimate_seconds=document["estimate_seconds"],
                ),
            )
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UsageError(f"the plan cannot be read: {error}", hint=_HINT) from error


_HINT = "make one: dbre ... --dry-run -o json > plan.json"
_KEYS = (
    "api_version", "kind", "operation", "definition_version", "input", "target", "summary", "risk", "lock", "gates", "steps",
    "changes", "blast_radius", "warnings", "observed", "confirm", "tags", "estimate_seconds",
)  # fmt: skip


def canonical(value: Any) -> bytes:
    """JSON as everybody writes it who wants the same hash. Source: RFC 8785 (JSON Canonicalization Scheme).

    Raises: UsageError for what JSON cannot hold: NaN, integers beyond 2^53, keys that are no text, lone surrogates.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, TypeError) as error:
        raise UsageError(f"a value cannot be written as canonical JSON: {error}") from error


def _step_document(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "summary": step.summary,
        "input": dict(step.input),
        "undo": step.undo,
        "irreversible": step.irreversible,
        "estimate_seconds": step.estimate_seconds,
    }


def _step_from(document: Mapping[str, Any]) -> Step:
    return Step(
        document["name"],
        summary=document["summary"],
        input=dict(document["input"]),
        undo=document["undo"],
        irreversible=bool(document["irreversible"]),
        estimate_seconds=document["estimate_seconds"],
    )
