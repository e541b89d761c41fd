"""The order of versions that list-append reads show, and what in it no committed transaction put there."""

from array import array
from dataclasses import dataclass

from dbre.capabilities.consistency.transactions.calls import FAILED, OK
from dbre.capabilities.consistency.transactions.list_append import AppendHistory, listed
from dbre.capabilities.consistency.transactions.micro_ops import Item, shown

__all__ = ["Versions", "versions_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Versions of all keys after each other; key ``k`` has those from ``offset[k]`` to ``offset[k + 1]``.

    ``append`` says which append made a version. ``later`` are appends that no read saw, and that happened all the same: each
    comes after the last version that was seen of its key. ``read_length`` counts versions, as reads saw them.
    """

    offset: "array[int]"
    append: "array[int]"
    later: "array[int]"
    read_length: "array[int]"


def versions_of(history: AppendHistory) -> Versions:
    """Order the versions, and add to the history's findings what they show by themselves.

    Versions of failed transactions and of nobody are reported and left out of the order.
    """
    offset, append = array("q", [0]), array("q")
    lengths, broken = array("q", history.read_length), {}
    for key, elements in enumerate(history.longest):
        made_by = history.appended[key]
        found = [made_by.get(one, -1) for one in elements]
        if _is_sound(history, found):
            append.extend(found)
        else:
            kept = _examine(history, key, elements, found)
            append.extend(found[at] for at in kept)
            broken[key] = _ranks(len(elements), kept)
        offset.append(len(append))
    if broken:
        for at, key in enumerate(history.read_key):
            if key in broken:
                lengths[at] = broken[key][lengths[at]]
    _examine_strays(history)
    _lost_updates(history)
    return Versions(offset=offset, append=append, later=_later(history, append), read_length=lengths)


def _is_sound(history: AppendHistory, found: list[int]) -> bool:
    rows, outcome = history.append_row, history.calls.outcome
    return len(set(found)) == len(found) and all(one >= 0 and outcome[rows[one]] != FAILED for one in found)


def _examine(history: AppendHistory, key: int, elements: list[Item], found: list[int]) -> list[int]:
    """Report what is wrong with the versions of a key; the places of those that are sound."""
    kept: list[int] = []
    known: set[Item] = set()
    failed_before: int | None = None
    for place, (element, made) in enumerate(zip(elements, found, strict=True)):
        if element in known:
            _repeated(history, key, elements[: place + 1])
        elif made < 0:
            _garbage(history, history.readers(key, place)[0], key, element, elements[: place + 1])
        elif history.calls.is_failed(history.append_row[made]):
            failed_before = made
            row, times = history.readers(key, place)
            _aborted(history, row, key, element, history.append_row[made], times=times)
        else:
            if failed_before is not None:
                _dirty(history, key, failed_before, made)
                failed_before = None
            kept.append(place)
        known.add(element)
    return kept


def _ranks(length: int, kept: list[int]) -> list[int]:
    """How many sound versions are among the first n, for each n."""
    ranks, count, sound = [0], 0, set(kept)
    for place in range(length):
        count += place in sound
        ranks.append(count)
    return ranks


def _places(history: AppendHistory, *rows: int) -> list[int]:
    return [history.calls.began[row] for row in rows]


def _repeated(history: AppendHistory, key: int, elements: list[Item]) -> None:
    history.repeated(history.readers(key, len(elements) - 1)[0], key, elements)


def _garbage(history: AppendHistory, row: int, key: int, element: Item, elements: list[Item]) -> None:
    history.found.add(
        "garbage-read",
        _places(history, row),
        f"{history.calls.name(row)} read {shown(history.keys[key])} as {listed(elements)}",
        f"nobody ever tried to append {shown(element)}",
    )


def _aborted(history: AppendHistory, row: int, key: int, element: Item, writer: int, *, times: int = 1) -> None:
    history.found.add(
        "G1a",
        _places(history, writer, row),
        f"{history.calls.name(writer)} appended {shown(element)} to {shown(history.keys[key])}, and failed",
        f"{history.calls.name(row)} read it all the same",
        times=times,
    )


def _dirty(history: AppendHistory, key: int, failed: int, made: int) -> None:
    one, other = history.append_row[failed], history.append_row[made]
    history.found.add(
        "dirty-update",
        _places(history, one, other),
        f"{history.calls.name(one)} appended to {shown(history.keys[key])}, and failed",
        f"{history.calls.name(other)} appended to what it had left",
    )


def _examine_strays(history: AppendHistory) -> None:
    """Elements of reads that fit into no order, too, were appended by somebody, or by nobody, or in vain."""
    for row, key, elements in history.strays:
        if len(set(elements)) != len(elements):
            history.repeated(row, key, elements)
        for place, element in enumerate(elements):
            made = history.appended[key].get(element)
            if made is None:
                _garbage(history, row, key, element, elements[: place + 1])
            elif history.calls.is_failed(history.append_row[made]):
                _aborted(history, row, key, element, history.append_row[made])


def _lost_updates(history: AppendHistory) -> None:
    for (key, length), rows in history.updates.items():
        both = sorted(set(rows))
        for other in both[1:]:
            history.found.add(
                "lost-update",
                _places(history, both[0], other),
                f"{history.calls.name(both[0])} and {history.calls.name(other)} both read {shown(history.keys[key])} "
                f"with {length} elements, and both appended to it",
                "whichever came second did not see the other",
            )


def _later(history: AppendHistory, append: "array[int]") -> "array[int]":
    """Appends of which no read tells, of transactions that happened: answered ok, or seen elsewhere."""
    calls, rows = history.calls, history.append_row
    seen, unclear = bytearray(len(rows)), {key for _, key, _ in history.strays}
    happened = bytearray(one == OK for one in calls.outcome)
    for one in append:
        seen[one] = 1
        happened[rows[one]] = 1
    return array(
        "q", (at for at, row in enumerate(rows) if not seen[at] and happened[row] and history.append_key[at] not in unclear)
    )
