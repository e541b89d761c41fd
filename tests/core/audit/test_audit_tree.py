"""The tree of RFC 6962 against published vectors and against the definitions of the RFC, written down naively."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.audit.errors import ProofInvalid
from dbre.core.audit.proofs import consistency_ranges, inclusion_ranges, verify_consistency, verify_inclusion
from dbre.core.audit.tree import EMPTY_ROOT, Frontier, Node, frontier_ends, leaf_hash, node_hash, perfect_nodes, range_hash

# Test data of Google's certificate-transparency (merkletree tests): inputs, roots of 1 to 8 leaves, proofs.
INPUTS = [
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
GROWTH = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


class Grown:
    """A tree as the log keeps it: of each entry the hashes that it completes."""

    def __init__(self, inputs: list[bytes]) -> None:
        frontier = Frontier()
        self.leaves = [leaf_hash(one) for one in inputs]
        self.rows = [frontier.append(leaf) for leaf in self.leaves]
        self.frontier = frontier

    def node(self, node: Node) -> bytes:
        return self.rows[node.entry_index][node.level]

    def hashes(self, ranges: list[tuple[int, int]]) -> list[bytes]:
        return [range_hash(*one, {node: self.node(node) for node in perfect_nodes(*one)}) for one in ranges]


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = naive_split(len(leaves))
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = naive_split(len(leaves))
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


def naive_subproof(old: int, leaves: list[bytes], *, is_whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2."""
    if old == len(leaves):
        return [] if is_whole else [naive_root(leaves)]
    split = naive_split(len(leaves))
    if old <= split:
        return [*naive_subproof(old, leaves[:split], is_whole=is_whole), naive_root(leaves[split:])]
    return [*naive_subproof(old - split, leaves[split:], is_whole=False), naive_root(leaves[:split])]


def naive_split(size: int) -> int:
    split = 1
    while split * 2 < size:
        split *= 2
    return split


@pytest.fixture(scope="module")
def published() -> Grown:
    return Grown([bytes.fromhex(one) for one in INPUTS])


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert Grown([bytes.fromhex(one) for one in INPUTS[:size]]).frontier.root().hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("place", "expected"), PATHS.items())
def test_inclusion_proofs_are_the_published_ones(published: Grown, place: tuple[int, int], expected: list[str]) -> None:
    proof = published.hashes(inclusion_ranges(*place))
    assert [one.hex() for one in proof] == expected
    index, size = place
    verify_inclusion(proof, leaf=published.leaves[index], index=index, size=size, root=bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("sizes", "expected"), GROWTH.items())
def test_consistency_proofs_are_the_published_ones(published: Grown, sizes: tuple[int, int], expected: list[str]) -> None:
    proof = published.hashes(consistency_ranges(*sizes))
    assert [one.hex() for one in proof] == expected
    old, new = sizes
    roots = {size: bytes.fromhex(root) for size, root in enumerate(ROOTS, 1)}
    verify_consistency(proof, old=old, old_root=roots[old], new=new, new_root=roots[new])


logs = st.lists(st.binary(max_size=3), min_size=1, max_size=70)


@given(logs, st.data())
def test_proofs_of_any_past_size_are_those_of_the_naive_definition_and_verify(inputs: list[bytes], data: st.DataObject) -> None:
    grown = Grown(inputs)
    size = data.draw(st.integers(1, len(inputs)))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    leaves = grown.leaves[:size]
    root = naive_root(leaves)
    path, growth = grown.hashes(inclusion_ranges(index, size)), grown.hashes(consistency_ranges(old, size))
    assert path == naive_path(index, leaves)
    assert growth == naive_subproof(old, leaves)
    verify_inclusion(path, leaf=leaves[index], index=index, size=size, root=root)
    verify_consistency(growth, old=old, old_root=naive_root(leaves[:old]), new=size, new_root=root)


@given(logs, st.data())
def test_a_frontier_read_from_any_past_size_goes_on_as_if_it_had_never_stopped(
    inputs: list[bytes], data: st.DataObject
) -> None:
    grown = Grown(inputs)
    size = data.draw(st.integers(0, len(inputs)))
    again = Frontier(size, [grown.rows[end - 1][-1] for end in frontier_ends(size)])
    assert again.root() == naive_root(grown.leaves[:size])
    for leaf, row in zip(grown.leaves[size:], grown.rows[size:], strict=True):
        assert again.append(leaf) == row
    assert again.root() == grown.frontier.root()


@given(logs, st.data())
def test_no_changed_proof_verifies(inputs: list[bytes], data: st.DataObject) -> None:
    grown = Grown([bytes([number]) + one for number, one in enumerate(inputs)])  # no two alike
    size = len(inputs)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, old_root = grown.frontier.root(), naive_root(grown.leaves[:old])
    path, growth = grown.hashes(inclusion_ranges(index, size)), grown.hashes(consistency_ranges(old, size))
    for bad in _changed(path):
        with pytest.raises(ProofInvalid):
            verify_inclusion(bad, leaf=grown.leaves[index], index=index, size=size, root=root)
    for bad in _changed(growth):
        with pytest.raises(ProofInvalid):
            verify_consistency(bad, old=old, old_root=old_root, new=size, new_root=root)
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index)) if size > 1 else index + 1
    with pytest.raises(ProofInvalid):
        verify_inclusion(path, leaf=grown.leaves[index], index=other, size=size, root=root)


def _changed(proof: list[bytes]) -> list[list[bytes]]:
    flipped = [[*proof[:at], bytes([one[0] ^ 1]) + one[1:], *proof[at + 1 :]] for at, one in enumerate(proof)]
    shorter = [[*proof[:at], *proof[at + 1 :]] for at in range(len(proof))]
    cut = [[*proof[:at], one[:31], *proof[at + 1 :]] for at, one in enumerate(proof)]
    longer = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, *proof[-1:], b""]]
    swapped = [
        [*proof[:at], right, left, *proof[at + 2 :]] for at, (left, right) in enumerate(pairwise(proof)) if left != right
    ]
    return [*flipped, *shorter, *cut, *longer, *swapped]


ROOT, OTHER = bytes(32), bytes([1]) * 32


@pytest.mark.parametrize(
    ("proof", "old", "old_root", "new", "new_root"),
    [
        ([], 0, EMPTY_ROOT, 5, ROOT),  # a log that has forgotten everything would pass
        ([], 0, EMPTY_ROOT, 0, EMPTY_ROOT),
        ([], -1, ROOT, 5, ROOT),
        ([], 3, ROOT, 3, OTHER),
        ([ROOT], 3, ROOT, 3, ROOT),
        ([ROOT], 4, ROOT, 3, ROOT),
        ([], 3, ROOT, 4, ROOT),
        ([ROOT[:31]], 1, ROOT, 2, ROOT),
        ([ROOT + b"\0"], 1, ROOT, 2, ROOT),
        ([], 3, ROOT[:5], 3, ROOT[:5]),
    ],
)
def test_a_proof_of_nothing_is_never_a_proof(proof: list[bytes], old: int, old_root: bytes, new: int, new_root: bytes) -> None:
    with pytest.raises(ProofInvalid):
        verify_consistency(proof, old=old, old_root=old_root, new=new, new_root=new_root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (6, 5)])
def test_no_entry_is_in_a_log_that_is_too_short_for_it(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid, match="is not in a log"):
        verify_inclusion([], leaf=ROOT, index=index, size=size, root=ROOT)
    with pytest.raises(ValueError, match="is not in a log"):
        inclusion_ranges(index, size)


def test_proofs_of_a_long_log_read_few_nodes() -> None:
    size = 10_000_019
    nodes = {node for one in inclusion_ranges(777, size) for node in perfect_nodes(*one)}
    growth = {node for one in consistency_ranges(4_999_999, size) for node in perfect_nodes(*one)}
    assert len(nodes) <= 2 * size.bit_length()
    assert len(growth) <= 2 * size.bit_length()
