"""Cycles of each kind, the shortest that are found soon. Whether there is one is decided exactly, by components.

The graph of snapshot isolation has every transaction twice: reached by an anti-dependency (rw), it may not be left by one.
What is strongly connected there is a cycle without two adjacent anti-dependencies.
Sources: Adya (1999), 4 and 5; Cerone and Gotsman (2018), theorem 4.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.sparse.csgraph import breadth_first_order

from dbre.capabilities.consistency.graphs.graph import Edges, Kind, Numbers, joined, matrix, strong_components
from dbre.capabilities.consistency.graphs.tangle import Tangle, kinds, with_order
from dbre.capabilities.consistency.report import Budget

__all__ = ["Cycles", "Hop", "find_cycles"]

_COMPONENTS = 50  # looked at for a short example of a kind
_SEEDS = 40  # in one component
_NOT_REACHED = -9999  # scipy's
_SHORTEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One edge of a cycle, between rows of the calls."""

    source: int
    target: int
    kind: Kind
    about: int


@dataclass(slots=True)
class Cycles:
    """By the name of the anomaly: the shortest cycle found, and in how many components there are such."""

    shortest: dict[str, list[Hop]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    is_cut_short: bool = False  # the search for G-single, which no component decides, ran out of time

    def add(self, cycle: list[Hop], *, sought: str) -> None:
        """Take a cycle in under its name; it counts where it is of the kind that was sought, or the first."""
        name = name_of(cycle)
        if plain_name(name) == sought or name not in self.counts:
            self.counts[name] = self.counts.get(name, 0) + 1
        if name not in self.shortest or len(cycle) < len(self.shortest[name]):
            self.shortest[name] = cycle


def name_of(cycle: list[Hop]) -> str:
    """What a cycle is called, by its edges alone.

    >>> hops = [Hop(source=0, target=1, kind=Kind.RW, about=-1), Hop(source=1, target=0, kind=Kind.REALTIME, about=-1)]
    >>> name_of(hops)
    'G-single-realtime'
    """
    found = [one.kind for one in cycle]
    overwrites = found.count(Kind.RW)
    adjacent = any(one is Kind.RW and other is Kind.RW for one, other in zip(found, [*found[1:], found[0]], strict=True))
    if overwrites == 1:
        name = "G-single"
    elif overwrites:
        name = "G2-item" if adjacent else "G-nonadjacent"
    else:
        name = "G1c" if Kind.WR in found else "G0"
    return name + ("-realtime" if Kind.REALTIME in found else "-process" if Kind.PROCESS in found else "")


def plain_name(name: str) -> str:
    """The name without the order in time."""
    return name.removesuffix("-process").removesuffix("-realtime")


def find_cycles(tangle: Tangle, budget: Budget) -> Cycles:
    """The cycles of a tangle: first those of data alone, then with the order of processes, then with real time."""
    cycles = Cycles()
    writes, reads, overwrites = (kinds(tangle.data, one) for one in (Kind.WW, Kind.WR, Kind.RW))
    known: set[str] = set()
    for order in (None, tangle.process, tangle.realtime):
        base = with_order(writes, order)
        dependencies = joined(base, reads)
        for kind, allowed, seeds in (
            ("G0", base, writes),
            ("G1c", dependencies, reads),
            ("G-single", dependencies, overwrites),
            ("G2-item", joined(dependencies, overwrites), overwrites),
        ):
            if kind not in known:
                _search(cycles, tangle, allowed, seeds, budget, kind)
        if "G-nonadjacent" not in known:
            _search_twofold(cycles, tangle, dependencies, overwrites, budget)
        known = {plain_name(one) for one in cycles.shortest}
    return cycles


def _search(cycles: Cycles, tangle: Tangle, allowed: Edges, seeds: Edges, budget: Budget, kind: str) -> None:
    """Cycles of one seed and a way back over allowed edges."""
    exhaustive = kind == "G-single"
    every = joined(allowed, seeds)
    labels = strong_components(tangle.count, every.source, every.target)
    is_found = False
    for looked_at, part in enumerate(_parts(labels, allowed, seeds)):
        if looked_at >= _COMPONENTS and (is_found or not exhaustive):
            return
        best = part.shortest(budget, exhaustive=exhaustive)
        if best is not None:
            steps = [_step(allowed, one, other) for one, other in pairwise(best)]
            cycles.add(_hops([*steps, _step(seeds, best[-1], best[0])], tangle), sought=kind)
            is_found = True
        if budget.is_spent:
            cycles.is_cut_short |= exhaustive and not is_found
            return


def _search_twofold(cycles: Cycles, tangle: Tangle, dependencies: Edges, overwrites: Edges, budget: Budget) -> None:
    count = tangle.count
    plain = [dependencies.source, dependencies.source + count], [dependencies.target, dependencies.target]
    allowed = Edges(
        source=np.concatenate([*plain[0], overwrites.source]),
        target=np.concatenate([*plain[1], overwrites.target + count]),
        kind=np.concatenate([dependencies.kind, dependencies.kind, overwrites.kind]),
        about=np.concatenate([dependencies.about, dependencies.about, overwrites.about]),
    )
    labels = strong_components(2 * count, allowed.source, allowed.target)
    for looked_at, part in enumerate(_parts(labels, allowed, kinds(allowed, Kind.RW))):
        if looked_at >= _COMPONENTS or (looked_at and budget.is_spent):
            return
        best = part.shortest(budget, exhaustive=False)
        if best is not None:
            steps = [
                _step(overwrites if other >= count else dependencies, one % count, other % count)
                for one, other in pairwise([*best, best[0]])
            ]
            cycles.add(_hops(_simple(steps), tangle), sought="G-nonadjacent")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One strongly connected component: its allowed edges, and the seeds that lie in it."""

    allowed: Edges
    seeds: Edges

    def shortest(self, budget: Budget, *, exhaustive: bool) -> list[int] | None:
        """The nodes of the shortest cycle found soon; ``exhaustive`` tries every seed until there is one."""
        nodes = np.unique(np.concatenate([self.allowed.source, self.allowed.target, self.seeds.source, self.seeds.target]))
        source, target = (np.searchsorted(nodes, one) for one in (self.allowed.source, self.allowed.target))
        ways = matrix(len(nodes), source, target)
        best: list[int] | None = None
        seeds = zip(np.searchsorted(nodes, self.seeds.source), np.searchsorted(nodes, self.seeds.target), strict=True)
        for tried, (begin, end) in enumerate(seeds):
            if tried and budget.is_spent and (exhaustive or best is not None):
                break
            if tried >= _SEEDS and (best is not None or not exhaustive):
                break
            way = _way(ways, int(end), int(begin))
            if way is not None and (best is None or len(way) < len(best)):
                best = way
            if best is not None and len(best) == _SHORTEST:
                break
        return [int(nodes[one]) for one in best] if best is not None else None


def _way(ways: object, start: int, goal: int) -> list[int] | None:
    before = breadth_first_order(ways, start, directed=True, return_predecessors=True)[1]
    if before[goal] == _NOT_REACHED:
        return None
    way = [goal]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return way[::-1]


def _parts(labels: Numbers, allowed: Edges, seeds: Edges) -> Iterator[_Part]:
    """The components with a seed in them, the smallest first."""
    inner_seeds = seeds.where(labels[seeds.source] == labels[seeds.target])
    names, seed_counts = np.unique(labels[inner_seeds.source], return_counts=True)
    order = np.argsort(labels[inner_seeds.source], kind="stable")
    inner_seeds = inner_seeds.where(order)
    inner = allowed.where(labels[allowed.source] == labels[allowed.target])
    inner = inner.where(np.argsort(labels[inner.source], kind="stable"))
    inner_labels = labels[inner.source]
    ends = np.cumsum(seed_counts)
    for at in np.argsort(seed_counts, kind="stable"):
        low, high = np.searchsorted(inner_labels, [names[at], names[at] + 1])
        chosen = slice(int(ends[at] - seed_counts[at]), int(ends[at]))
        yield _Part(allowed=inner.where(np.arange(low, high)), seeds=inner_seeds.where(np.arange(chosen.start, chosen.stop)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """An edge to the next node of a walk."""

    node: int
    kind: Kind
    about: int


def _step(edges: Edges, source: int, target: int) -> _Step:
    """The strongest of the edges between two nodes, of those that may be taken."""
    at = np.flatnonzero((edges.source == source) & (edges.target == target))
    best = at[np.argmin(edges.kind[at])]
    return _Step(node=source, kind=Kind(int(edges.kind[best])), about=int(edges.about[best]))


def _simple(walk: list[_Step]) -> list[_Step]:
    """A walk that meets a transaction twice is two cycles, one of which has no two adjacent anti-dependencies either."""
    first_at: dict[int, int] = {}
    for place, step in enumerate(walk):
        first = first_at.setdefault(step.node, place)
        if first != place:
            inner, outer = walk[first:place], walk[:first] + walk[place:]
            return _simple(outer if _has_adjacent(inner) else inner)
    return walk


def _has_adjacent(walk: list[_Step]) -> bool:
    return any(one.kind is Kind.RW and other.kind is Kind.RW for one, other in pairwise([*walk, walk[0]]))


def _hops(walk: list[_Step], tangle: Tangle) -> list[Hop]:
    """The cycle between transactions; moments between two of them become one edge in time."""
    real = [step for step in walk if step.node < len(tangle.rows)]
    names = [int(tangle.rows[step.node]) for step in real]
    return [
        Hop(source=name, target=following, kind=step.kind, about=step.about)
        for name, following, step in zip(names, [*names[1:], names[0]], real, strict=True)
    ]
