"""What is told of a server before it is copied is what it is, not what its counters say at the moment."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from dbre.engines.postgres.backup.prechecks import Examined, problems_of
from dbre.engines.postgres.backup.source import Source
from dbre.ports.backup.model import LogPosition


def examined(failing: int) -> Examined:
    source: dict[str, Any] = {
        "login": "dbre",
        "version": (18, 4),
        "version_text": "18.4",
        "system_id": "7",
        "timeline": 1,
        "position": LogPosition(1, 2**24, "0/1000000"),
        "server_time": datetime(2026, 11, 20, tzinfo=UTC),
        "is_replica": False,
        "has_checksums": True,
        "has_whole_pages": True,
        "segment_bytes": 2**24,
        "may_replicate": True,
    }
    contents = SimpleNamespace(senders=0, slots=0, unlogged_tables=0, sees_all_sizes=True, failing=failing)
    numbers = {"max_wal_senders": 10, "max_replication_slots": 10}
    return Examined(source=Source(**source), settings={}, numbers=numbers, contents=contents, tablespaces=(), login_rules=1)


def test_archiving_that_fails_once_more_between_two_looks_is_the_same_warning() -> None:
    """Counted, it would make another plan every few seconds, and none could be submitted."""
    (told,) = problems_of(examined(3), {18})
    assert told.rule == "backup.archiver_fails"
    assert problems_of(examined(4), {18}) == (told,)
    assert problems_of(examined(0), {18}) == ()
