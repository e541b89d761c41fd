"""The Barman adapter on catalogues that Barman made."""

import foreign_kit as kit

from dbre.ports.backup.model import CopyKind


async def test_sets_and_log_are_read_from_a_real_catalogue(foreign: kit.Foreign) -> None:
    facts = await foreign.barman().look()
    [one] = facts.sets
    assert one.kind is CopyKind.FULL
    [(system_id,)] = await foreign.sql("SELECT system_identifier::text FROM pg_control_system()")
    assert one.system_id == system_id
    assert {path.name for path in foreign.barman_log.iterdir()} <= {log.file.name for log in facts.logs}
    assert facts.problems == ()
