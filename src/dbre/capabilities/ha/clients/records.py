"""What clients wrote down, put together: one history for the checker, and acts with their times for measuring."""

import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.errors import PrecheckFailed

__all__ = ["ClientAct", "acts_of", "is_write", "make_history", "newest_nodes", "write_merged"]

_NANO = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAct:
    """One act. Times are seconds of the history; ``ended_at`` is None where the client did not live to see its end."""

    client: str
    sequence: int
    f: str
    asked: Any
    value: Any
    due_at: float
    sent_at: float
    ended_at: float | None
    kind: str  # ok, fail, info
    node: str | None = None
    position: str | None = None
    error: str | None = None
    is_missed: bool = False  # the client itself came too late to try: says nothing of the database
    is_answer: bool = False  # refused, and rightly: another client was first

    @property
    def is_bad(self) -> bool:
        """Whether the client suffered."""
        return self.kind != "ok" and not self.is_missed and not self.is_answer


def is_write(act: ClientAct) -> bool:
    """Whether an act changes something."""
    return any(one[0] == "append" for one in act.asked) if act.f == "txn" else act.f != "read"


def newest_nodes(acts: Iterable[ClientAct]) -> list[str]:
    """Who acknowledged writes, the node that began last first."""
    first: dict[str, float] = {}
    for act in acts:
        if act.kind == "ok" and act.node is not None and act.ended_at is not None and is_write(act):
            first[act.node] = min(first.get(act.node, act.ended_at), act.ended_at)
    return sorted(first, key=lambda node: first[node], reverse=True)


def make_history(path: Path) -> None:
    """Make a new file that only its owner may read. Raises: PrecheckFailed."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise PrecheckFailed(
            f"the history {path} cannot be made: {error.strerror}", hint="name a file that is not there yet"
        ) from error


def write_merged(parts: Sequence[Path], history: Path) -> None:
    """Write the lines of all parts in the order of their times; a line that a killed client did not end is left out."""
    with history.open("wb") as target, ExitStack() as stack:
        streams = [_timed(stack.enter_context(part.open("rb"))) for part in parts if part.exists()]
        target.writelines(line for _, line in heapq.merge(*streams, key=lambda one: one[0]))


def _timed(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for line in lines:
        try:
            yield json.loads(line)["time"], line
        except ValueError:
            return


def acts_of(history: Path) -> list[ClientAct]:
    """The acts of a merged history in the order in which they were sent."""
    begun: dict[tuple[str, int], dict[str, Any]] = {}
    acts: dict[tuple[str, int], ClientAct] = {}
    with history.open("rb") as lines:
        for line in lines:
            said = json.loads(line)
            name = said["client"], said["sequence"]
            if said["type"] == "invoke":
                begun[name] = said
                acts[name] = _act(said, None)
            else:
                acts[name] = _act(begun.pop(name), said)
    return list(acts.values())


def _act(asked: dict[str, Any], answer: dict[str, Any] | None) -> ClientAct:
    said = answer or {}
    return ClientAct(
        client=asked["client"],
        sequence=asked["sequence"],
        f=asked["f"],
        asked=asked["value"],
        value=said.get("value", asked["value"]),
        due_at=asked["due"] / _NANO,
        sent_at=asked["time"] / _NANO,
        ended_at=said["time"] / _NANO if answer is not None else None,
        kind=said.get("type", "info"),
        node=said.get("node"),
        position=said.get("position"),
        error=said.get("error"),
        is_missed=said.get("missed", False),
        is_answer=said.get("answered", False),
    )
