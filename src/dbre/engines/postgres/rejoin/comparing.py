"""Where the history of a stopped server's files and that of the primary part."""

from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.postgres.backup.log_names import lsn, parse_lsn
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.engines.postgres.forks.fork_point import History, left_in
from dbre.engines.postgres.forks.port import LOG_ENDS
from dbre.engines.postgres.rejoin.control_data import ControlData

__all__ = ["Fork", "fork_between", "has_log_beyond", "own_history"]

_HISTORY_BYTES = 1 << 20
_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """The last position that both have, on the last timeline that both went through. ``position`` None: neither left it."""

    timeline: int
    position: int | None


def own_history(data: Path, found: ControlData) -> tuple[tuple[int, str], ...]:
    """The timelines that the files went through, each with the position at which it was left."""
    path = data / "pg_wal" / f"{found.timeline:08X}.history"
    if found.timeline == 1:
        return ()
    return left_in(read_plain(path, limit=_HISTORY_BYTES).decode(errors="replace"))


def fork_between(mine: tuple[tuple[int, str], ...], timeline: int, theirs: History) -> Fork | None:
    """Two histories compared, entry by entry; None where they have nothing in common.

    >>> theirs = History(system_id="1", left=((1, "0/3000000"),), timeline=2)
    >>> fork_between((), 1, theirs).position == 0x3000000
    True
    """
    left = [*((number, _value(at)) for number, at in mine), (timeline, None)]
    right = [*((number, _value(at)) for number, at in theirs.left), (theirs.timeline, None)]
    common: Fork | None = None
    for (one, one_end), (other, other_end) in zip(left, right, strict=False):
        if one != other:
            break
        ends = [end for end in (one_end, other_end) if end is not None]
        common = Fork(timeline=one, position=min(ends, default=None))
        if one_end != other_end:
            break
    return common


async def has_log_beyond(program: Path, data: Path, fork: Fork, account: Account) -> bool:
    """Whether the log of the files goes on behind the fork, on the timeline that both have. Raises: ProgramFailed."""
    if fork.position is None:
        return False
    argv: list[str | Path] = [program, f"--path={data / 'pg_wal'}", f"--timeline={fork.timeline}"]
    argv += [f"--start={lsn(fork.position)}", "--limit=1"]
    try:
        done = await run(argv, account=account, directory=data, timeout_seconds=_SECONDS, program="pg_waldump")
    except ProgramFailed as error:
        if any(one in error.message for one in LOG_ENDS):
            return False
        raise
    return bool(done.stdout.strip())


def _value(position: str) -> int:
    return parse_lsn(position, timeline=0).value
