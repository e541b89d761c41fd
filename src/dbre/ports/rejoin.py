"""How a stopped server whose place another one took becomes a follower again: the half on its machine.

Part of facet ``succession``. Which server is the primary, and that it stays it, is for the caller to see to.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import DbreError
from dbre.ports.engine import Access
from dbre.ports.succession import Following

__all__ = ["Aligned", "Kinship", "NotAligned", "RejoinPort", "Relation", "Way"]


class NotAligned(DbreError):
    """The files of a server could not be brought to the history of the primary. It must not be started."""

    code = "rejoin.not_aligned"


class Relation(StrEnum):
    """What the files of a server are to the history of the primary."""

    SAME = "same"  # it only lacks what came later
    DIVERGED = "diverged"  # it has what the primary does not
    UNFINISHED = "unfinished"  # an earlier attempt to align them did not come to its end
    STRANGER = "stranger"  # of another database
    EMPTY = "empty"  # there is none
    UNKNOWN = "unknown"  # only the running server could tell


class Way(StrEnum):
    """How files are brought to the history of the primary."""

    NOTHING = "nothing"
    REWIND = "rewind"
    CLONE = "clone"
    RESYNC = "resync"  # a running server is filled anew by its upstream


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """How the files of a server are related to the primary. All text is printable."""

    relation: Relation
    timeline: int | None  # of the files
    upstream_timeline: int
    fork: str | None  # where the two histories part, if they do
    own_slot: str | None  # its place in its upstream's log, as its files name it
    why_no_rewind: str | None  # None: it may be tried
    why_no_clone: str | None
    leftovers: tuple[str, ...] = ()  # of earlier recoveries: they are taken away
    why_no_start: str | None = None  # its own settings would lead its next start elsewhere: they are for their owner to change

    def way(self, *, is_clone_wanted: bool = False) -> Way:
        """How it would be done."""
        if is_clone_wanted:
            return Way.CLONE
        if self.relation is Relation.SAME:
            return Way.NOTHING
        return Way.REWIND if self.relation is Relation.DIVERGED and self.why_no_rewind is None else Way.CLONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """What was done to the files."""

    way: Way
    seconds: float
    detail: str | None = None  # why it was not done the shorter way
    position: str | None = None  # how far the copy is, where the follower has to be told; None: its files say it


class RejoinPort(Protocol):
    """The files of one server, on its machine. Nothing may run in them but for ``look``.

    Raises everywhere: NoControl, Denied where the files belong to others, ProgramFailed, BinariesMissing, Unreachable.
    """

    async def look(self, source: Access) -> Kinship:
        """Compare the files with the primary; reads only. What a server that runs goes on to write is not seen."""
        ...

    async def align(self, source: Access, following: Following, *, is_clone_wanted: bool = False) -> Aligned:
        """Bring the files to the history of the primary, such that a start makes a follower.

        Before the first change a marker is written that lasts until the last one; where it is found, nothing of what is there
        is trusted, and the files are copied anew. Idempotent: done again after a crash, it ends what it finds at work.

        Raises: NotAligned, after which nobody may start the server.
        """
        ...

    async def settle(self) -> None:
        """Remove what was kept until the server was seen to follow."""
        ...
