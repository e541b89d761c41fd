"""What clients did and were told, in the words of Jepsen: one line a call, one line an answer."""

from enum import StrEnum
from typing import Any

import msgspec

__all__ = ["Call", "Op", "OpType", "Process"]

Process = int | str


class OpType(StrEnum):
    """What a line of a history says."""

    INVOKE = "invoke"
    OK = "ok"  # it happened
    FAIL = "fail"  # it did certainly not happen
    INFO = "info"  # nobody knows


class Op(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One line of a history; a ``Struct``, because a million of them are read in seconds.

    ``process`` is a client that does one thing after the other; one that is no number (Jepsen's nemesis) is no client.
    The order of lines is the order in which things happened; ``time`` (nanoseconds) is only shown.
    """

    type: OpType
    process: Process
    f: str
    value: Any = None
    time: int | float | None = None
    index: int | None = None
    node: str | None = None
    error: Any = None


class Call(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call and what became of it.

    ``began`` and ``ended`` are places in the history; ``ended`` is None where no answer came before its end. ``value`` is
    that of the answer where it is ``ok``, else that of the call.
    """

    type: OpType
    process: int
    f: str
    value: Any
    asked: Any
    began: int
    ended: int | None
    node: str | None = None
