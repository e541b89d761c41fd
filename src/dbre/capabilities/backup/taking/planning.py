"""The plan of a backup: what would be copied from where to where, and why so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.policy.chain import Choice
from dbre.capabilities.backup.taking.source import Source
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes

__all__ = ["Taking", "lock_target", "plan_of", "told_warnings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """All that the plan is made of."""

    cluster: str
    policy: PolicyDocument
    source: Source
    choice: Choice
    catalog: Catalog
    includes_log: bool
    needs_log: bool
    warnings: tuple[str, ...]
    is_remedy: bool = False  # until it is there, later moments cannot be brought back, or hardly

    def step_input(self) -> Mapping[str, Any]:
        """What every step is given."""
        parent = self.choice.parent
        return {
            "cluster": self.cluster,
            "policy": self.policy.name,
            "instance": self.source.instance,
            "system_id": self.source.survey.system_id,
            "kind": self.choice.kind.value,
            "parent_id": parent.id if parent is not None else None,
            "includes_log": self.includes_log,
            "reason": self.choice.reason,
        }


def lock_target(cluster: str) -> str:
    """What every operation on a cluster's sets locks: one writer at a time.

    >>> lock_target("orders")
    'cluster/orders/backup'
    """
    return f"cluster/{cluster}/backup"


def plan_of(taking: Taking) -> Plan:
    """The plan: check, copy, verify, wait for the log, store in every vault, seal."""
    given, choice, survey = taking.step_input(), taking.choice, taking.source.survey
    article = "an" if choice.kind.value[0] in "aeiou" else "a"
    what = f"{article} {choice.kind} copy of {taking.source.instance}"
    stands_on = f" on set {choice.parent.id}" if choice.parent is not None else ""
    steps = [
        Step("precheck", summary=f"see that {taking.source.instance} can be copied and that there is room", input=given,
             undo="abandon"),
        Step("copy", summary=f"take {what}{stands_on}: {choice.reason}", input=given, estimate_seconds=_usual(taking)),
        Step("verify-copy", summary="compare every file with the manifest", input=given),
    ]  # fmt: skip
    if taking.needs_log:
        steps.append(Step("complete-log", summary="wait until the log that makes it consistent is stored", input=given))
    for name in taking.policy.vaults:
        step_input = {**given, "vault": name}
        steps.append(Step(f"store:{name}", summary=f"store it in vault {name}, encrypted", input=step_input))
    steps.append(Step("seal", summary="seal it: from now on it can be restored from", input=given))
    return Plan(
        target=lock_target(taking.cluster),
        summary=f"take {what} into {', '.join(taking.policy.vaults)}",
        steps=tuple(steps),
        risk=Risk.MILD,
        changes=(Change(subject=f"{taking.cluster}: newest sealed set", before=_newest(taking.catalog), after="a new one"),),
        blast_radius=(f"{taking.source.instance} is read once from end to end{_limit(taking.policy)}",),
        warnings=taking.warnings,
        observed={
            "system_id": survey.system_id,
            "kind": choice.kind.value,
            "parent_id": given["parent_id"],
            "instance": taking.source.instance,
        },
        tags=("backup", *("remedy",) * taking.is_remedy),
    )


def told_warnings(catalog: Catalog, source: Source, policy: PolicyDocument, *, needs_log: bool) -> tuple[str, ...]:
    """What a person should know before the copy: another system than before, no log yet, small things of the source."""
    survey, found = source.survey, [*source.warnings]
    systems = {one.system_id for one in catalog.sets if one.state is SetState.SEALED}
    if systems and survey.system_id not in systems:
        found.append(
            f"{source.instance} is system {survey.system_id}, and every set so far is of {', '.join(sorted(systems))}:"
            " the server was rebuilt or upgraded, so a new chain begins; nothing of the old one leads to it"
        )
    if needs_log and not any(log.system_id == survey.system_id for log in catalog.logs):
        found.append(
            f"no log file of system {survey.system_id} was ever stored: the set is sealed only when its log is;"
            f" log.mode of policy {policy.name} is {policy.log.mode}"
        )
    return tuple(printable(one, limit=500) for one in found)


def _usual(taking: Taking) -> float | None:
    """How long the last copy of that kind took."""
    same = [one for one in taking.catalog.sets if one.kind is taking.choice.kind and one.stopped_at is not None]
    last = max(same, key=lambda one: one.started_at, default=None)
    if last is None or last.stopped_at is None:
        return None
    return max(0.0, (last.stopped_at - last.started_at).total_seconds())


def _newest(catalog: Catalog) -> str | None:
    sealed: list[BackupSet] = [one for one in catalog.sets if one.state is SetState.SEALED]
    if not sealed:
        return None
    newest = max(sealed, key=lambda one: one.started_at)
    return f"{newest.kind} of {newest.started_at:%Y-%m-%d %H:%MZ} ({counted(len(sealed), 'sealed set')} in all)"


def _limit(policy: PolicyDocument) -> str:
    return f", at most {format_bytes(policy.bytes_per_second)} a second" if policy.bytes_per_second else ""
