"""What a plan tells besides losses: sets that it passed over, branches, vaults that do not hold what is needed. Pure."""

from collections.abc import Sequence

from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.restoring.choice import RestoreChoice
from dbre.capabilities.backup.restoring.choosing import Found, Search
from dbre.capabilities.backup.restoring.lineage import Line, left_behind
from dbre.capabilities.backup.restoring.wording import moment_words
from dbre.core.text import printable
from dbre.core.units import format_bytes
from dbre.ports.backup.model import Problem, RecoveryTarget, TargetKind

__all__ = ["objections_to", "sources_of"]


def objections_to(found: Found, search: Search) -> list[Problem]:
    """All that there is to tell of a choice, what stands in the way last."""
    line, target, choice = search.line, search.target, search.choice
    return [
        *_passed_over(found),
        *found.notes,
        *_branch(line),
        *_left_behind(search),
        *_unlocated(search.catalog, found, target, choice),
        *_without_source(found.chain.sets, choice.vaults),
    ]


def sources_of(chain: Sequence[BackupSet], allowed: Sequence[str] | None) -> tuple[str, ...]:
    """The vaults that hold at least one member: as they are given, else those that hold most first."""
    holding = [name for one in chain for name in one.vaults]
    order = list(allowed) if allowed is not None else sorted(set(holding), key=lambda name: (-holding.count(name), name))
    return tuple(name for name in order if name in holding)


def _passed_over(found: Found) -> list[Problem]:
    return [
        Problem(
            rule="backup.set_passed_over",
            message=f"a newer set cannot be used: {one}",
            hint="dbre backup verify SET; the restore takes longer from an older set",
            is_blocking=False,
        )
        for one in found.passed_over
    ]


def _branch(line: Line) -> list[Problem]:
    if line.note is None:
        return []
    return [Problem(rule="backup.other_branch", message=line.note, hint="--timeline N chooses another one", is_blocking=False)]


def _left_behind(search: Search) -> list[Problem]:
    """Commits of an old primary that went on after another was promoted were acknowledged, and are not in what comes back."""
    if search.target.kind not in (TargetKind.LATEST, TargetKind.TIME):
        return []
    return [
        Problem(
            rule="backup.tail_left_behind",
            message=f"timeline {one.timeline} went on after the service had left it: {format_bytes(one.bytes)} of log"
            + (f" until {moment_words(one.until)}" if one.until is not None else "")
            + f" are not on timeline {search.line.timeline}; what was committed in them is lost here",
            hint=f"as far as it was received it is had by --timeline {one.timeline}",
            is_blocking=False,
        )
        for one in left_behind(search.catalog, search.line, at=search.at, samples=search.samples)
    ]


def _unlocated(catalog: Catalog, found: Found, target: RecoveryTarget, choice: RestoreChoice) -> list[Problem]:
    """A name or a transaction may lie before the newest set, or nowhere; only replay finds it."""
    if target.kind not in (TargetKind.NAME, TargetKind.TRANSACTION):
        return []
    others = sum(one.state is SetState.SEALED for one in catalog.sets) - 1
    newest = found.chain.newest
    earlier = "if it lies before that, choose an older set: --set SET; " if others > 0 and choice.set_id is None else ""
    return [
        Problem(
            rule="backup.target_not_located",
            message=f"whether {target.kind.value} {printable(target.value or '', limit=100)} is in the log, and where, is not"
            f" known before replay; set {newest.id} of {moment_words(newest.started_at)} is taken",
            hint=f"{earlier}if it is nowhere, recovery ends with an error, and nothing is left of it",
            is_blocking=False,
        )
    ]


def _without_source(chain: Sequence[BackupSet], allowed: Sequence[str] | None) -> list[Problem]:
    return [
        Problem(
            rule="backup.set_not_in_vault",
            message=f"set {one.id} lies in {', '.join(one.vaults) or 'no vault'}"
            + (f", not in {', '.join(allowed)}" if allowed is not None else ""),
            hint="choose another vault: --vault NAME",
            is_blocking=True,
        )
        for one in chain
        if not any(allowed is None or name in allowed for name in one.vaults)
    ]
