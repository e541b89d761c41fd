"""What a server that recovers says on its stderr: where it is, why it stopped, and what went wrong."""

import re
import time
from collections import deque
from dataclasses import dataclass, field

from dbre.core.text import one_line, printable

__all__ = ["ServerOutput"]

_KEPT_LINES = 40
_STOPPED = re.compile(r"recovery stopping (?:before|after|at) .*")
_ENDED = re.compile(
    r"(?:invalid (?:record length|magic number|resource manager ID|info bits|contrecord)|unexpected pageaddr|"
    r"record with (?:invalid|incorrect)|incorrect (?:prev-link|resource manager data checksum)|there is no contrecord|"
    r"contrecord is requested|could not find contrecord|out-of-sequence timeline).*"
)
_DAMAGED = re.compile(r"incorrect resource manager data checksum|invalid resource manager ID|record with incorrect prev-link")
_RESTORED = re.compile(r'restored log file "([0-9A-F]{8})[0-9A-F]{16}"')
_REPLAYED = re.compile(r"redo done at ([0-9A-F]+/[0-9A-F]+)")
_COMMITTED = re.compile(r"last completed transaction was at log time (.+)")
_MISSED = "recovery ended before configured recovery target"
_TIMELINE = re.compile(r"selected new timeline ID: (\d+)")


@dataclass(slots=True)
class ServerOutput:
    """The lines of one server, understood as they come."""

    tail: "deque[str]" = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))
    is_ready: bool = False  # for questions
    consistent_at: float | None = None  # on the monotonic clock
    stopped: str | None = None  # recovery stopping before commit of transaction 742, time ...
    ended: str | None = None  # why the log could not be read on; normal at its end
    is_log_damaged: bool = False
    is_target_missed: bool = False
    timeline: int | None = None
    replayed: str | None = None  # the last record, where the log ended
    committed_at: str | None = None  # the last commit, as the server writes moments

    def note(self, line: str) -> None:
        """Take one line."""
        if _RESTORED.search(line) and self.tail and _RESTORED.search(self.tail[-1]):
            self.tail.pop()  # a long log has thousands of them: the last one says enough
        self.tail.append(printable(line, limit=400))
        if "ready to accept" in line:
            self.is_ready = True
        if "consistent recovery state reached" in line and self.consistent_at is None:
            self.consistent_at = time.monotonic()
        if match := _REPLAYED.search(line):
            self.replayed = match[1]
        if match := _COMMITTED.search(line):
            self.committed_at = one_line(match[1])
        if _MISSED in line:
            self.is_target_missed = True
        if match := _STOPPED.search(line):
            self.stopped = one_line(match[0])
        if match := _ENDED.search(line):
            self.ended = one_line(match[0])
            self.is_log_damaged = _DAMAGED.search(line) is not None
        if match := _TIMELINE.search(line):
            self.timeline = int(match[1])
        elif match := _RESTORED.search(line):
            self.timeline = int(match[1], 16)
            self.ended, self.is_log_damaged = None, False

    @property
    def log_end(self) -> str:
        """Where the log that there is ends, in words."""
        where = f" at {self.replayed}" if self.replayed else ""
        last = f", and its last commit was at {self.committed_at}" if self.committed_at else ""
        return f"the log that there is ends{where}{last}"

    def __str__(self) -> str:
        return "\n".join(self.tail)
