"""What would be lost of a server that another tool backs up: never told shorter than it is."""

from datetime import UTC, datetime, timedelta

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.capabilities.backup.second_opinion.model import ForeignExposure
from dbre.ports.backup.model import CopyKind, LogFile, LogKind, LogPosition, Tool
from dbre.ports.backup.repository import ForeignLog, ForeignSet, RepositoryFacts

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
SEGMENT = 1 << 24


def position(value: int) -> LogPosition:
    return LogPosition(1, value, f"{value >> 32:X}/{value & 0xFFFFFFFF:X}")


def facts(system_id: str = "7") -> RepositoryFacts:
    """One set, and log up to the end of segment 3."""
    found = ForeignSet(
        label="full", kind=CopyKind.FULL, parent=None, system_id=system_id, start=position(SEGMENT), stop=position(SEGMENT + 9),
        started_at=NOON, stopped_at=NOON, bytes_source=1, bytes_stored=1, error=None, version_text="18.4",
    )  # fmt: skip
    logs = [
        LogFile(
            name=f"0000000100000000{number:08X}", kind=LogKind.SEGMENT, timeline=1, start=number * SEGMENT,
            end=(number + 1) * SEGMENT, size=SEGMENT, sha256="",
        )
        for number in (1, 2, 3)
    ]  # fmt: skip
    return RepositoryFacts(
        tool=Tool(name="pgbackrest", version="2.45", path=None, problem=None),
        sets=(found,),
        logs=tuple(ForeignLog(system_id=system_id, file=one, stored_at=NOON) for one in logs),
        problems=(),
        segment_bytes=SEGMENT,
    )


def exposure(*, now: datetime, server_system: str = "7", samples: tuple[ClockSample, ...] = ()) -> ForeignExposure:
    seen = Seen(
        repository="r", cluster="orders", engine="postgresql", is_proved=True, now=now, server=position(4 * SEGMENT + 100),
        server_system=server_system, samples=samples,
    )  # fmt: skip
    return form_opinion(facts(), seen).exposure


def sample(seconds: float, value: int) -> ClockSample:
    return ClockSample(cluster="orders", system_id="7", at=NOON + timedelta(seconds=seconds), timeline=1, value=value)


def test_a_server_of_another_system_is_exposed_in_whole_however_its_positions_compare() -> None:
    found = exposure(now=NOON, server_system="8")
    assert (found.bytes, found.seconds) == (None, None)
    assert "the server is system 8, and the repository has nothing of it" in (found.reason_unknown or "")


def test_exposure_is_told_from_the_last_moment_at_which_all_was_there() -> None:
    samples = (sample(0, 4 * SEGMENT), sample(2, 4 * SEGMENT + 50))
    found = exposure(now=NOON + timedelta(seconds=10), samples=samples)
    assert (found.bytes, found.seconds) == (100, 10.0)


def test_a_clock_that_was_set_back_makes_it_unknown() -> None:
    found = exposure(now=NOON - timedelta(hours=1), samples=(sample(0, 4 * SEGMENT),))
    assert (found.bytes, found.seconds) == (100, None)
    assert found.reason_unknown is not None
