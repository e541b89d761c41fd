"""What is told of a server that keeps its binary log too short, for ever, or on a disk without room."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dbre.engines.mysql.backup.log_room import room_problems
from dbre.engines.mysql.backup.source import Source
from dbre.engines.mysql.facts import Product

FILES: list[dict[str, Any]] = [
    {"Log_name": "binlog.000001", "File_size": 1024},
    {"Log_name": "binlog.000002", "File_size": 1024},
]
CONTROL = b"\xfe\xfe\x0c\x01" + bytes(range(16))  # magic, version, UUID


def source_of(directory: Path, expires: str) -> Source:
    return Source(
        product=Product.MARIADB,
        version=(10, 11, 19),
        version_text="10.11.19-MariaDB",
        measured_at=datetime(2026, 11, 21, tzinfo=UTC),
        server_id=1,
        server_uid="uid",
        data_directory=directory,
        has_binlog=True,
        is_replica=False,
        settings={"binlog_expire_logs_seconds": expires},
    )


def mark_of(directory: Path, *, largest_file: int = 1, largest_total: str | None = None) -> dict[str, Any]:
    return {"log_bin_basename": f"{directory}/binlog", "max_binlog_size": largest_file, "largest_total": largest_total}


@pytest.mark.parametrize(
    ("expires", "largest_total", "rules"),
    [
        ("0", None, ["backup.log_never_expires"]),
        ("0.000000", "0", ["backup.log_never_expires"]),
        ("0", "1073741824", []),
        ("3600", None, ["backup.log_expires_soon"]),
        ("604800", None, []),
    ],
    ids=["never", "never-in-11.4", "by-size", "an-hour", "a-week"],
)
def test_how_long_the_log_is_kept_is_judged(tmp_path: Path, expires: str, largest_total: str | None, rules: list[str]) -> None:
    found = room_problems(source_of(tmp_path, expires), mark_of(tmp_path, largest_total=largest_total), FILES)
    assert [one.rule for one in found] == rules
    assert not any(one.is_blocking for one in found)


def test_a_disk_without_room_for_two_more_files_is_pressing(tmp_path: Path) -> None:
    source = source_of(tmp_path, "604800")
    mark = mark_of(tmp_path, largest_file=2**60)
    assert room_problems(source, mark, FILES) == ()  # whose disk it is cannot be known: the server may be another machine's
    (tmp_path / "aria_log_control").write_bytes(CONTROL)
    (found,) = room_problems(source, mark, FILES)
    assert (found.rule, found.is_blocking) == ("backup.log_fills_disk", True)
    assert "2 files with 2.0 KiB" in found.message
