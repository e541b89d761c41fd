"""The search for cycles against all cycles there are: of each kind it finds one exactly where there is one."""

from collections.abc import Collection, Iterator
from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.graphs.cycles import Cycles, Hop, find_cycles, name_of, plain_name
from dbre.capabilities.consistency.graphs.graph import Edges, Graph, Kind
from dbre.capabilities.consistency.graphs.tangle import tangle_of
from dbre.capabilities.consistency.history import Call, OpType
from dbre.capabilities.consistency.report import Budget
from dbre.capabilities.consistency.transactions.calls import Calls

NODES = 5
Links = dict[tuple[int, int], Kind]
LINKS = st.dictionaries(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1)).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from([Kind.WW, Kind.WR, Kind.RW, Kind.RW]),
    max_size=9,
)


def graph_of(links: Links, spans: list[tuple[int, int | None]]) -> Graph:
    calls = Calls()
    for process, (began, ended) in enumerate(spans):
        kind = OpType.OK if ended is not None else OpType.INFO
        calls.add(Call(type=kind, process=process, f="txn", value=[], asked=[], began=began, ended=ended))
    pairs = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    kinds = np.array([int(one) for one in links.values()], dtype=np.int8)
    edges = Edges(source=pairs[:, 0], target=pairs[:, 1], kind=kinds, about=np.full(len(kinds), -1))
    return Graph(calls=calls, nodes=np.arange(len(spans)), edges=edges)


def searched(graph: Graph) -> Cycles:
    tangle = tangle_of(graph)
    return Cycles() if tangle is None else find_cycles(tangle, Budget(60))


def simple_cycles(links: Links, in_time: Collection[tuple[int, int]] = ()) -> Iterator[list[Hop]]:
    """Every cycle, and where data and time both order a pair, each way of telling it."""
    kinds = {pair: [links[pair]] if pair in links else [] for pair in {*links, *in_time}}
    for pair in in_time:
        kinds[pair].append(Kind.REALTIME)

    def extend(way: list[int]) -> Iterator[list[Hop]]:
        for source, target in kinds:
            if source == way[-1] and target == way[0]:
                closed = list(pairwise([*way, way[0]]))
                for told in product(*(kinds[pair] for pair in closed)):
                    yield [Hop(source=a, target=b, kind=kind, about=-1) for (a, b), kind in zip(closed, told, strict=True)]
            elif source == way[-1] and target > way[0] and target not in way:
                yield from extend([*way, target])

    for first in range(NODES):
        yield from extend([first])


@settings(max_examples=60, deadline=None)
@given(LINKS)
def test_of_data_alone_every_kind_that_there_is_is_found(links: Links) -> None:
    found = set(searched(graph_of(links, [(one, None) for one in range(NODES)])).shortest)
    real = {name_of(cycle) for cycle in simple_cycles(links)}
    decided = {"G0", "G1c", "G-single"}
    assert found & decided == real & decided
    assert found <= real
    loose = {*decided, "G-nonadjacent"}
    assert bool(found & loose) == bool(real & loose), "snapshot isolation"
    assert bool(found) == bool(real), "serializability"


@settings(max_examples=60, deadline=None)
@given(LINKS, st.permutations(range(2 * NODES)))
def test_with_time_what_is_found_is_there_and_something_is_found_where_there_is(links: Links, places: list[int]) -> None:
    spans = [(min(pair), max(pair)) for pair in zip(places[::2], places[1::2], strict=True)]
    in_time = [
        (one, other) for one in range(NODES) for other in range(NODES) if one != other and spans[one][1] < spans[other][0]
    ]
    cycles = searched(graph_of(links, spans))
    real = {name_of(cycle) for cycle in simple_cycles(links, in_time)}
    assert bool(cycles.shortest) == bool(real)
    loose = {"G0", "G1c", "G-single", "G-nonadjacent"}
    assert bool({plain_name(one) for one in cycles.shortest} & loose) == bool({plain_name(one) for one in real} & loose)
    for name, cycle in cycles.shortest.items():
        assert name == name_of(cycle)
        assert [one.target for one in cycle] == [one.source for one in [*cycle[1:], cycle[0]]]
        for hop in cycle:
            holds = hop.kind in (Kind.REALTIME, Kind.PROCESS) and spans[hop.source][1] < spans[hop.target][0]
            assert holds or links.get((hop.source, hop.target)) is hop.kind


def test_an_edge_of_data_hides_no_edge_of_time_between_the_same_transactions() -> None:
    links = {(0, 1): Kind.RW, (1, 0): Kind.RW}
    assert set(searched(graph_of(links, [(0, 1), (2, 3)])).shortest) == {"G2-item", "G-single-realtime"}


def test_a_search_that_ran_out_of_time_says_so() -> None:
    ring = 400
    links = {(one, (one + 1) % ring): Kind.RW for one in range(ring)}
    tangle = tangle_of(graph_of(links, [(one, None) for one in range(ring)]))
    assert tangle is not None
    assert not find_cycles(tangle, Budget(60)).is_cut_short
    short = find_cycles(tangle, Budget(0))
    assert short.is_cut_short
    assert set(short.shortest) == {"G2-item"}


def test_a_large_tangle_goes_through_moments_and_its_cycles_still_name_transactions_only() -> None:
    count = 2_000
    links = {(one + 1, one): Kind.WW for one in range(0, count, 2)}  # the later one wrote first
    graph = graph_of(links, [(2 * one, 2 * one + 1) for one in range(count)])
    found = searched(graph)
    assert set(found.shortest) == {"G0-realtime"}
    (cycle,) = found.shortest.values()
    assert len(cycle) == 2
    assert all(hop.source < count and hop.target < count for hop in cycle)
