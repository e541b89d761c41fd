"""Inclusion and consistency proofs of RFC 6962: what they are made of, and how they are checked."""

from collections.abc import Sequence

from dbre.core.audit.errors import ProofInvalid
from dbre.core.audit.tree import HASH_BYTES, node_hash

__all__ = ["LeafRange", "consistency_ranges", "inclusion_ranges", "verify_consistency", "verify_inclusion"]

LeafRange = tuple[int, int]
"""A range of leaves, the end not included; its hash is one element of a proof."""


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """Whose hashes prove that entry ``index`` is in the tree of ``size``, the nearest first.

    >>> inclusion_ranges(2, 5)
    [(3, 4), (0, 2), (4, 5)]

    Raises: ValueError if not 0 <= index < size.
    Source: RFC 6962, 2.1.1 (PATH).
    """
    if not 0 <= index < size:
        raise ValueError(f"entry {index} is not in a log of {size}")
    start, end, ranges = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def consistency_ranges(old: int, new: int) -> list[LeafRange]:
    """Whose hashes prove that the tree of ``new`` leaves begins with that of ``old``.

    >>> consistency_ranges(3, 7)
    [(2, 3), (3, 4), (0, 2), (4, 7)]

    Raises: ValueError if not 0 < old <= new: nothing can be proved of a log without entries.
    Source: RFC 6962, 2.1.2 (SUBPROOF).
    """
    if not 0 < old <= new:
        raise ValueError(f"no proof leads from a log of {old} to one of {new}")
    start, end, is_whole, ranges = 0, new, True, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, is_whole = middle, False
    return [*([] if is_whole else [(start, end)]), *ranges[::-1]]


def verify_inclusion(proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, root: bytes) -> None:
    """See that the leaf is number ``index`` of the tree with that size and root.

    Raises: ProofInvalid.
    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size:
        raise ProofInvalid(f"entry {index} is not in a log of {size} entries")
    _require_hashes([leaf, root, *proof])
    number, last, found = index, size - 1, leaf
    for element in proof:
        if last == 0:
            raise ProofInvalid(f"the inclusion proof of entry {index} is longer than a log of {size} entries allows")
        if number & 1 or number == last:
            found = node_hash(element, found)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, element)
        number, last = number >> 1, last >> 1
    if last or found != root:
        raise ProofInvalid(f"the inclusion proof of entry {index} does not lead to the root of the log of {size} entries")


def verify_consistency(proof: Sequence[bytes], *, old: int, old_root: bytes, new: int, new_root: bytes) -> None:
    """See that the log of ``new`` entries begins with all that was in the log of ``old`` entries.

    An old log without entries is always an error: whatever it is compared with would pass.

    Raises: ProofInvalid.
    Source: RFC 9162, 2.1.4.2.
    """
    _require_hashes([old_root, new_root, *proof])
    if not 0 < old <= new:
        raise ProofInvalid(f"no proof can lead from a log of {old} entries to one of {new}")
    if old == new:
        if proof or old_root != new_root:
            raise ProofInvalid(f"two logs of {old} entries are equal only with equal roots and an empty proof")
        return
    if not proof:
        raise ProofInvalid(f"the proof from {old} to {new} entries is empty")
    if _folded(proof, old, old_root, new) != (old_root, new_root):
        raise ProofInvalid(f"the log of {new} entries does not begin with that of {old} entries")


def _folded(proof: Sequence[bytes], old: int, old_root: bytes, new: int) -> tuple[bytes, bytes]:
    elements = list(proof) if old & (old - 1) else [old_root, *proof]
    number, last = old - 1, new - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    first = second = elements[0]
    for element in elements[1:]:
        if last == 0:
            raise ProofInvalid(f"the proof from {old} to {new} entries is too long")
        if number & 1 or number == last:
            first, second = node_hash(element, first), node_hash(element, second)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            second = node_hash(second, element)
        number, last = number >> 1, last >> 1
    if last:
        raise ProofInvalid(f"the proof from {old} to {new} entries is too short")
    return first, second


def _require_hashes(hashes: Sequence[bytes]) -> None:
    for one in hashes:
        if len(one) != HASH_BYTES:
            raise ProofInvalid(f"a hash of a proof has {len(one)} bytes, not {HASH_BYTES}")


def _split(size: int) -> int:
    """The largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1
