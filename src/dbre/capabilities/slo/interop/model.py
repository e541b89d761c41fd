"""What an import works with: one object of a foreign file, what it becomes, and what could not be carried over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from dbre.core.config.problems import Place, Problem
from dbre.core.config.tree import Branch

__all__ = ["CarriedOver", "Defaults", "Findings", "ForeignObject", "Lost", "percent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What foreign files do not say and ours must: which clusters, and which Prometheus."""

    selector: Mapping[str, str | list[str]] = field(default_factory=dict)
    server: str = "prometheus"


@dataclass(frozen=True, slots=True)
class ForeignObject:
    """One document of a file, or one item of a list in it."""

    node: Branch
    dialect: str  # openslo/v1, openslo/v1alpha, openslo.com/v2alpha, sloth, pyrra, plain, dbre
    kind: str  # SLO, SLI, AlertPolicy, ...; empty where the dialect has only one


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that ours cannot say, or says otherwise; ``is_whole``: the SLO is left out for it."""

    place: Place
    message: str
    hint: str = ""
    is_whole: bool = False

    def __str__(self) -> str:
        return str(Problem(self.place, self.message, self.hint or None))


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """One SLO as an item of ``slos``, or one composite as an item of ``slo_composites``, with the place of the original."""

    document: Mapping[str, object]
    place: Place


@dataclass(slots=True)
class Findings:
    """What an import has found so far."""

    problems: list[Problem] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    slos: list[CarriedOver] = field(default_factory=list)
    composites: list[CarriedOver] = field(default_factory=list)

    def lose(self, place: Place, message: str, hint: str = "", *, is_whole: bool = False) -> None:
        """Note what cannot be carried over."""
        self.lost.append(Lost(place, message, hint, is_whole))

    def refuse(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note what is wrong."""
        self.problems.append(Problem(place, message, hint))


def percent(ratio: Decimal) -> str:
    """A target as our files have it.

    >>> percent(Decimal("0.9995"))
    '99.95%'
    """
    return f"{(ratio * 100).normalize():f}%"
