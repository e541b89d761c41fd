"""What ``pg_controldata`` says of the files of a server, and what its settings say while it does not run."""

import re
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.core.programs.scratch import scratch_directory
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.ports.rejoin import NotAligned

__all__ = ["ControlData", "read_control_data", "setting_of"]

_SECONDS = 60.0
_CLEAN = ("shut down", "shut down in recovery")
_TARGETS = tuple(f"recovery_target{one}" for one in ("", "_lsn", "_name", "_time", "_xid"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlData:
    """The control file."""

    system_id: str
    state: str
    timeline: int  # of what was last replayed, where that is known, else of the last checkpoint
    reached: int  # the latest position that the files themselves need
    tells_changed_pages: bool  # by checksums or wal_log_hints: what pg_rewind needs

    @property
    def is_clean(self) -> bool:
        """Whether it was stopped in order."""
        return self.state in _CLEAN


async def read_control_data(program: Path, data: Path, account: Account) -> ControlData:
    """Read it. Raises: ProgramFailed; NotAligned where it cannot be understood."""
    done = await run([program, "-D", data], account=account, directory=data, timeout_seconds=_SECONDS)
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in done.stdout.splitlines())}
    try:
        checkpoint = _position(fields["Latest checkpoint location"])
        replayed = _position(fields["Minimum recovery ending location"])
        line = int(fields["Latest checkpoint's TimeLineID"])
        replayed_line = int(fields["Min recovery ending loc's timeline"])
        return ControlData(
            system_id=fields["Database system identifier"],
            state=fields["Database cluster state"],
            timeline=max(line, replayed_line),
            reached=max(checkpoint, replayed),
            tells_changed_pages=fields["Data page checksum version"] != "0" or fields["wal_log_hints setting"] == "on",
        )
    except (KeyError, ValueError) as error:
        raise NotAligned(f"pg_controldata does not tell what {data} is: {error}", hint="copy it anew: --clone") from error


def _position(text: str) -> int:
    if re.fullmatch(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", text) is None:
        raise ValueError(f"{text[:40]!r} is no position")
    return parse_lsn(text, timeline=0).value


async def targets_of(program: Path, data: Path, account: Account, options: list[str]) -> tuple[str, ...]:
    """Targets of a recovery in its own settings files, of which ``postgresql.auto.conf`` is none. Raises: ProgramFailed.

    The program itself reads them, with all that they include, for a data directory in which nothing else is.
    """
    own = options or ["-c", f"config_file={data / 'postgresql.conf'}"]
    found = []
    with scratch_directory(account) as empty:
        for name in _TARGETS:
            others = [f"--{one}=" for one in _TARGETS if one != name]
            done = await run(
                [program, "-C", name, "-D", empty, *own, *others], account=account, directory=empty, timeout_seconds=_SECONDS
            )
            found += [name] if done.stdout.strip() else []
    return tuple(found)


async def setting_of(program: Path, data: Path, account: Account, name: str, options: list[str]) -> str:
    """A setting as the server would have it after its next start. Raises: ProgramFailed where its files are wrong.

    Two targets of recoveries, which are taken out before it is started, would have the program read nothing.
    """
    argv: list[str | Path] = [program, "-C", name, "-D", data, *options, *(f"--{one}=" for one in _TARGETS)]
    done = await run(argv, account=account, directory=data, timeout_seconds=_SECONDS)
    return done.stdout.strip()
