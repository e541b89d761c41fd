"""The arithmetic of the Merkle tree of RFC 6962: hashes, appending, and which stored nodes make up a range of leaves."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "Node",
    "frontier_ends",
    "leaf_hash",
    "node_hash",
    "perfect_nodes",
    "range_hash",
    "root_of",
]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of a tree without leaves. Source: RFC 6962, 2.1."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf; its prefix keeps an entry from passing for a node. Source: RFC 6962, 2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node. Source: RFC 6962, 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """A complete subtree: the leaves from ``index << level`` up to, not including, ``(index + 1) << level``."""

    level: int
    index: int

    @property
    def entry_index(self) -> int:
        """The entry that completed the subtree: with it the hash is stored."""
        return ((self.index + 1) << self.level) - 1


@dataclass(slots=True)
class Frontier:
    """The complete subtrees that make up a tree of ``size`` leaves, the largest first: all that appending needs."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> tuple[bytes, ...]:
        """Add a leaf; the hashes of the subtrees that it completes, from the leaf itself upwards.

        >>> frontier = Frontier()
        >>> [len(frontier.append(leaf_hash(b"x"))) for _ in range(8)]
        [1, 2, 1, 3, 1, 2, 1, 4]
        """
        completed = [leaf]
        for _ in range(_trailing_ones(self.size)):
            completed.append(node_hash(self.hashes.pop(), completed[-1]))
        self.hashes.append(completed[-1])
        self.size += 1
        return tuple(completed)

    def root(self) -> bytes:
        """The root of the tree."""
        return root_of(self.hashes)

    def copy(self) -> "Frontier":
        """Another one that grows on its own."""
        return Frontier(self.size, list(self.hashes))


def root_of(subtrees: Sequence[bytes]) -> bytes:
    """The hash over complete subtrees of falling size, the largest first."""
    if not subtrees:
        return EMPTY_ROOT
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def frontier_ends(size: int) -> list[int]:
    """The sizes at which the complete subtrees of a tree of ``size`` leaves end, the largest subtree first.

    >>> frontier_ends(13)
    [8, 12, 13]
    """
    ends = []
    while size:
        ends.append(size)
        size &= size - 1  # without its lowest bit
    return ends[::-1]


def perfect_nodes(start: int, end: int) -> Iterator[Node]:
    """The largest complete subtrees that make up the leaves from ``start`` up to ``end``, from left to right.

    ``start`` is a multiple of the largest power of two that is not above ``end - start``, as in every range of a proof.

    >>> list(perfect_nodes(8, 13))
    [Node(level=2, index=2), Node(level=0, index=12)]
    """
    while start < end:
        level = (end - start).bit_length() - 1
        yield Node(level, start >> level)
        start += 1 << level


def range_hash(start: int, end: int, hashes: Mapping[Node, bytes]) -> bytes:
    """The hash of the subtree over these leaves, from the stored nodes that ``perfect_nodes`` names."""
    return root_of([hashes[node] for node in perfect_nodes(start, end)])


def _trailing_ones(number: int) -> int:
    return (~number & (number + 1)).bit_length() - 1
