"""How long a restore would take: from measured phases of real restores, and told what it rests on (backup.md 4.5)."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.backup.catalog.phases import RestorePhase
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.core.text import counted
from dbre.ports.backup.model import CopyKind

__all__ = ["MARGIN", "Forecast", "PhaseForecast", "forecast"]

MARGIN = 1.25
_SLOW_SHARE = 0.10
_LONG_SHARE = 0.90
_LOAD = "load"
_OF_FILES = ("fetch", "verify", "fetch_log", "scan", "combine", "start", "replay", "promote")
_OF_STATEMENTS = ("fetch", "verify", "combine", "provision", "start", _LOAD, "analyze", "promote")
_OF_LOG = frozenset({"fetch_log", "scan"})
_NOT_EVERYWHERE = frozenset({"provision", "analyze"})
"""Not every engine has these for its dumps: they count where they were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseForecast:
    """One phase; ``seconds`` is None where nothing like it was ever measured."""

    name: str
    seconds: float | None
    bytes: int | None  # that it will handle; None: its length does not depend on bytes
    bytes_per_second: float | None  # the slow tenth of what was measured
    samples: int
    basis: str  # one sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A restore, phase by phase. ``total_seconds`` is None while a phase is unknown: a sum of the rest would be a lie."""

    phases: tuple[PhaseForecast, ...]
    margin: float
    total_seconds: float | None
    basis: str  # one sentence: how much was measured where, or what is missing

    @property
    def seconds_by_phase(self) -> Mapping[str, float | None]:
        """Seconds of each phase, without margin."""
        return {one.name: one.seconds for one in self.phases}

    @property
    def known_seconds(self) -> float:
        """What the known phases take, with margin: the whole takes at least that."""
        return self.margin * sum(one.seconds or 0.0 for one in self.phases)


def forecast(plan: RestorePlan, phases: Sequence[RestorePhase], *, margin: float = MARGIN) -> Forecast:
    """Forecast a plan from measured phases of faithful restores; those of its own cluster count before those of others.

    A phase that handles bytes takes ``bytes / p10(rate)``, any other its p90; the sum gets a margin of 1.25.
    """
    faithful = _alike(plan, [one for one in phases if one.is_faithful and one.engine == plan.engine])
    own = [one for one in faithful if one.cluster == plan.cluster]
    wanted = _wanted(plan, {one.phase.name for one in faithful})
    told = tuple(_phase(name, plan, own, faithful) for name in wanted)
    unknown = [one.name for one in told if one.seconds is None]
    total = None if unknown else margin * sum(one.seconds or 0.0 for one in told)
    return Forecast(phases=told, margin=margin, total_seconds=total, basis=_basis(plan, own, faithful, unknown))


def _is_loaded(plan: RestorePlan) -> bool:
    return plan.newest.kind is CopyKind.LOGICAL


def _alike(plan: RestorePlan, phases: Sequence[RestorePhase]) -> list[RestorePhase]:
    """Those of restores of the same nature: loading statements says nothing about copying files, and the reverse."""
    loads = {one.operation_id for one in phases if one.phase.name == _LOAD}
    return [one for one in phases if (one.operation_id in loads) == _is_loaded(plan)]


def _wanted(plan: RestorePlan, measured: Collection[str]) -> list[str]:
    if _is_loaded(plan):
        return [one for one in _OF_STATEMENTS if one not in _NOT_EVERYWHERE or one in measured]
    left_out = set() if plan.bytes_log else set(_OF_LOG)
    if plan.bytes_replay is None:
        left_out.add("replay")
    return [one for one in _OF_FILES if one not in left_out]


def _bytes_of(name: str, plan: RestorePlan) -> int | None:
    return {
        "fetch": plan.bytes_stored,
        "fetch_log": plan.bytes_log,
        "verify": plan.bytes_copy,
        "scan": plan.bytes_replay,
        "combine": plan.bytes_copy,
        _LOAD: plan.bytes_copy,
        "replay": plan.bytes_replay,
    }.get(name)


def _phase(name: str, plan: RestorePlan, own: Sequence[RestorePhase], others: Sequence[RestorePhase]) -> PhaseForecast:
    measured = _named(name, own)
    whose = f"of {plan.cluster}"
    if not measured:
        measured, whose = _named(name, others), f"of other clusters of {plan.engine}"
    amount = _bytes_of(name, plan)
    if name == "fetch":
        measured = [one for one in measured if one.vault in (None, *plan.vaults)] or measured
    rates = sorted(one.phase.bytes / one.phase.seconds for one in measured if one.phase.bytes and one.phase.seconds > 0)
    if amount is not None and rates:
        rate = _quantile(rates, _SLOW_SHARE)
        basis = f"slowest tenth of {counted(len(rates), 'measurement')} {whose}"
        return PhaseForecast(
            name=name, seconds=amount / rate, bytes=amount, bytes_per_second=rate, samples=len(rates), basis=basis
        )
    lengths = sorted(one.phase.seconds for one in measured) if amount is None else []
    if amount == 0:
        return _unmeasured(name, 0.0, amount, "nothing to do")
    if not lengths:
        return _unmeasured(name, None, amount, "never measured")
    basis = f"longest tenth of {counted(len(lengths), 'measurement')} {whose}"
    return PhaseForecast(
        name=name,
        seconds=_quantile(lengths, _LONG_SHARE),
        bytes=amount,
        bytes_per_second=None,
        samples=len(lengths),
        basis=basis,
    )


def _unmeasured(name: str, seconds: float | None, amount: int | None, basis: str) -> PhaseForecast:
    return PhaseForecast(name=name, seconds=seconds, bytes=amount, bytes_per_second=None, samples=0, basis=basis)


def _named(name: str, phases: Sequence[RestorePhase]) -> list[RestorePhase]:
    """Each operation counts once: parts of one phase (one for each member) are one measurement."""
    by_operation: dict[object, list[RestorePhase]] = defaultdict(list)
    for one in phases:
        if one.phase.name == name:
            by_operation[one.operation_id].append(one)
    return [_joined(parts) for parts in by_operation.values()]


def _joined(parts: Sequence[RestorePhase]) -> RestorePhase:
    first = parts[0]
    sizes = [one.phase.bytes for one in parts]
    seconds = sum(one.phase.seconds for one in parts)
    total = sum(size for size in sizes if size is not None) if any(size is not None for size in sizes) else None
    return replace(first, phase=replace(first.phase, seconds=seconds, bytes=total))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the two nearest; of one value it is that value.

    >>> _quantile([1.0, 2.0, 3.0], 0.9)
    2.8
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _basis(plan: RestorePlan, own: Sequence[RestorePhase], faithful: Sequence[RestorePhase], unknown: Sequence[str]) -> str:
    restores = len({one.operation_id for one in own})
    elsewhere = len({one.operation_id for one in faithful}) - restores
    told = f"{counted(restores, 'faithful restore')} of {plan.cluster}"
    if elsewhere:
        told += f" and {elsewhere} of other clusters"
    if unknown:
        return f"{told}; never measured: {', '.join(unknown)}"
    return told
