"""Whether a MariaDB server keeps its binary log long enough for us, and not so long that its disk fills up."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration
from dbre.engines.mysql.backup.source import Source, read_system_id
from dbre.engines.mysql.connection import Row
from dbre.ports.backup.model import Problem

__all__ = ["room_problems"]

_LEAST_SECONDS = 86_400  # a receiver may be away over a night
_FILES_THAT_FIT = 2


def room_problems(source: Source, mark: Row, files: Sequence[Row]) -> tuple[Problem, ...]:
    """From the settings, the files of the log, and the disk where that is this machine's. A blocking one is pressing."""
    return (*_expiry(source, mark, files), *_disk(source, mark, files))


def _expiry(source: Source, mark: Row, files: Sequence[Row]) -> Iterator[Problem]:
    seconds, largest = int(float(source.settings["binlog_expire_logs_seconds"])), int(mark["largest_total"] or 0)
    if not seconds and not largest:
        yield Problem(
            rule="backup.log_never_expires",
            message=f"binlog_expire_logs_seconds is 0: nothing removes binary logs, and there are {_held(files)}",
            hint="SET GLOBAL binlog_expire_logs_seconds = 604800, and in the server's configuration",
            is_blocking=False,
        )
    elif 0 < seconds < _LEAST_SECONDS:
        yield Problem(
            rule="backup.log_expires_soon",
            message=f"binlog_expire_logs_seconds is {seconds}: log that is not received for {format_duration(seconds)} is lost",
            hint="SET GLOBAL binlog_expire_logs_seconds = 604800, and in the server's configuration",
            is_blocking=False,
        )


def _disk(source: Source, mark: Row, files: Sequence[Row]) -> Iterator[Problem]:
    if read_system_id(source.data_directory) is None:  # of another machine, or not ours to see
        return
    directory, wanted = Path(str(mark["log_bin_basename"])).parent, _FILES_THAT_FIT * int(mark["max_binlog_size"])
    try:
        free = shutil.disk_usage(directory).free
    except OSError:
        return
    if free < wanted:
        yield Problem(
            rule="backup.log_fills_disk",
            message=f"{printable(str(directory), limit=200)} has {format_bytes(free)} free, less than {_FILES_THAT_FIT} files"
            f" of max_binlog_size take; there are {_held(files)}",
            hint="make room; PURGE BINARY LOGS BEFORE what the vaults have (dbre backup log status) removes old ones",
            is_blocking=True,
        )


def _held(files: Sequence[Row]) -> str:
    return f"{counted(len(files), 'file')} with {format_bytes(sum(int(one['File_size']) for one in files))}"
