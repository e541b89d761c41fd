"""Who could become primary, and in what order: pure rules over the checks of each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck, blocking
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.rules import pair_checks
from dbre.capabilities.ha.switchover.survey import Survey
from dbre.core.fleet import UnknownInstance
from dbre.core.text import closest, quoted
from dbre.ports.session import Role

__all__ = ["Candidate", "candidates_of", "chosen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One replica of the primary."""

    name: str
    checks: tuple[PreCheck, ...]
    lag_bytes: int | None
    is_never: bool
    preference: int  # 0 is the best

    @property
    def is_fit(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.is_never and not blocking(self.checks)

    @property
    def reason(self) -> str:
        """Why it stands where it stands."""
        if self.is_never:
            return "ha: clusters: switchover: never"
        failed = blocking(self.checks)
        if failed:
            return "not now: " + ", ".join(dict.fromkeys(f"{one.rule} ({one.subject})" for one in failed))
        warned = [one.rule for one in self.checks if one.state is CheckState.WARN]
        return f"fit{', with ' + ', '.join(dict.fromkeys(warned)) if warned else ''}"


def candidates_of(found: Survey, old: str, limits: SwitchoverDocument, *, without: Collection[str] = ()) -> list[Candidate]:
    """Replicas of the cluster that answer, the best first: fit, preferred, nothing to warn of, least behind, by name.

    ``without``: the checks that do not matter here.
    """
    made = [
        _candidate(found, old, one.name, limits, without)
        for one in found.topology.nodes
        if one.view is not None and one.view.role is Role.REPLICA and one.instance.cluster == found.cluster.name
    ]
    return sorted(made, key=_rank)


def chosen(
    ranked: Sequence[Candidate], instances: Mapping[str, object], *, asked: str | None, old: str, cluster: str
) -> Candidate | None:
    """The one that was asked for, or the best; None where there is none. Raises: UnknownInstance."""
    if asked is None:
        return next((one for one in ranked if not one.is_never), None)
    if asked not in instances:
        near = closest(asked, list(instances))
        raise UnknownInstance(
            f"cluster {cluster} has no instance {quoted(asked, limit=100)}",
            hint=f"did you mean {near}?" if near else f"it has {', '.join(instances)}",
        )
    if asked == old:
        return None
    return next((one for one in ranked if one.name == asked), None)


def _candidate(found: Survey, old: str, name: str, limits: SwitchoverDocument, without: Collection[str]) -> Candidate:
    lag = found.lags.get(name)
    return Candidate(
        name=name,
        checks=tuple(one for one in pair_checks(found, old, name, limits) if one.rule not in without),
        lag_bytes=lag.total_bytes if lag is not None else None,
        is_never=name in limits.never,
        preference=limits.prefer.index(name) if name in limits.prefer else len(limits.prefer),
    )


def _rank(one: Candidate) -> tuple[bool, int, int, int, str]:
    warned = sum(check.state is CheckState.WARN for check in one.checks)
    return not one.is_fit, one.preference, warned, one.lag_bytes if one.lag_bytes is not None else 1 << 62, one.name
