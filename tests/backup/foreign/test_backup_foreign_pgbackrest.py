"""The pgBackRest adapter on repositories that pgBackRest made."""

from pathlib import Path

import foreign_kit as kit

from dbre.ports.backup.model import CopyKind, LogKind


async def test_sets_log_and_segment_size_are_read_from_a_real_repository(foreign: kit.Foreign) -> None:
    facts = await foreign.pgbackrest().look()
    full, incremental = facts.sets[:2]
    assert (full.kind, incremental.kind) == (CopyKind.FULL, CopyKind.INCREMENTAL)
    assert incremental.parent == full.label
    [(system_id,)] = await foreign.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert {one.system_id for one in facts.sets} == {system_id} == {one.system_id for one in facts.logs}
    assert facts.segment_bytes == 16 * 2**20
    assert {one.file.name for one in facts.logs} == {path.name[:24] for path in foreign.pgbackrest_log.glob("*-*")}
    assert all(one.file.kind is LogKind.SEGMENT for one in facts.logs)
    assert facts.problems == ()


async def test_a_log_file_is_fetched_as_the_server_wrote_it(foreign: kit.Foreign, tmp_path: Path) -> None:
    facts = await foreign.pgbackrest().look()
    into = tmp_path / "segment"
    assert await foreign.pgbackrest().fetch(facts.logs[-1].file.name, into) is True
    assert into.stat().st_size == 16 * 2**20
    assert list(tmp_path.iterdir()) == [into]
