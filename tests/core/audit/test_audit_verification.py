"""Somebody with a SQL prompt, and what he cannot hide."""

from collections.abc import Sequence

import pytest
from audit_kit import draft, tamper
from sqlalchemy import insert, select

from dbre.core.audit import tables
from dbre.core.audit.checkpoint import Checkpoint, sign_checkpoint
from dbre.core.audit.checkpoints import checkpoint_now, latest_checkpoint
from dbre.core.audit.errors import AuditRolledBack, NoteInvalid
from dbre.core.audit.log import AuditLog
from dbre.core.audit.signed_note import SigningKey
from dbre.core.audit.tree import Frontier, leaf_hash
from dbre.core.audit.verification import Verification, verify_log
from dbre.core.store import Store
from dbre.testing.clock import FakeClock

KEY = SigningKey.generate("log.example/audit")
CLOCK = FakeClock()


@pytest.fixture
async def signed(store: Store) -> Store:
    """21 entries, signed at 7, 14 and 21."""
    log = AuditLog(CLOCK)
    for turn in range(3):
        await log.append(store, *(draft(7 * turn + one) for one in range(7)))
        await checkpoint_now(store, KEY, CLOCK)
    return store


async def verified(store: Store, known: Sequence[tuple[str, Checkpoint]] = (), since: int = 0) -> Verification:
    return await verify_log(store, [KEY.verifier], known=known, since=since)


async def found(store: Store) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in (await verified(store)).findings]


async def rehash(store: Store) -> None:
    """Make the stored tree that of the entries as they are now, as a careful forger does."""
    async with store.begin() as connection:
        rows = (await connection.execute(select(tables.entry).order_by(tables.entry.c.entry_index))).all()
        frontier = Frontier()
        for row in rows:
            nodes = b"".join(frontier.append(leaf_hash(row.entry.encode())))
            place = tables.entry.c.entry_index == row.entry_index
            await connection.execute(tables.entry.update().where(place).values(nodes=nodes))


CHANGE = "UPDATE audit_entry SET entry = replace(entry, 'anna', 'evan'), actor = 'evan' WHERE entry_index = 9"


async def test_an_untouched_log_is_sound(signed: Store) -> None:
    await AuditLog(CLOCK).append(signed, draft(21))
    result = await verified(signed)
    assert (result.findings, result.size, result.checkpoints_count, result.signed_size) == ([], 22, 3, 21)


async def test_a_changed_entry_is_found_and_its_old_hash_known_to_be_authentic(signed: Store) -> None:
    await tamper(signed, CHANGE)
    assert await found(signed) == [("audit.entry_changed", "audit/entry/9")]


async def test_a_changed_copy_is_found(signed: Store) -> None:
    await tamper(signed, "UPDATE audit_entry SET actor = 'evan', at = at + 1 WHERE entry_index = 9")
    assert await found(signed) == [("audit.copy_changed", "audit/entry/9")] * 2


async def test_a_replaced_node_is_found(signed: Store) -> None:
    async with signed.begin() as connection:
        place = tables.entry.c.entry_index == 7
        nodes = bytes((await connection.execute(select(tables.entry.c.nodes).where(place))).scalar_one())
        assert len(nodes) == 4 * 32  # the leaf and the subtrees of 2, 4 and 8 entries
        await connection.execute(tables.entry.update().where(place).values(nodes=nodes[:-1] + bytes([nodes[-1] ^ 1])))
    assert await found(signed) == [("audit.node_changed", "audit/entry/7")]


async def test_a_replaced_leaf_hash_is_found(signed: Store) -> None:
    async with signed.begin() as connection:
        place = tables.entry.c.entry_index == 8
        await connection.execute(tables.entry.update().where(place).values(nodes=bytes(32)))
    assert ("audit.entry_changed", "audit/entry/8") in await found(signed)


async def test_deleted_last_entries_are_found_by_the_checkpoint_over_them(signed: Store) -> None:
    await tamper(signed, "DELETE FROM audit_entry WHERE entry_index >= 19")
    assert await found(signed) == [("audit.log_truncated", "audit/entry/19-20")]
    with pytest.raises(AuditRolledBack, match="has 19 entries, and the checkpoint of 21 entries says it had 21"):
        await checkpoint_now(signed, KEY, CLOCK)


async def test_a_truncated_log_with_its_checkpoints_truncated_too_is_found_by_who_kept_one(signed: Store) -> None:
    async with signed.read() as connection:
        kept = await latest_checkpoint(connection, KEY.verifier)
    assert kept is not None
    await tamper(signed, "DELETE FROM audit_entry WHERE entry_index >= 14")
    await tamper(signed, "DELETE FROM audit_checkpoint WHERE size > 14")
    assert await found(signed) == []
    (one,) = (await verified(signed, [("my note", kept)])).findings
    assert (one.rule, one.subject) == ("audit.log_truncated", "audit/entry/14-20")
    assert "my note has a signed checkpoint of 21" in one.summary


async def test_deleted_entries_in_the_middle_are_found_and_the_others_still_checked(signed: Store) -> None:
    await tamper(signed, "DELETE FROM audit_entry WHERE entry_index IN (8, 9)")
    await tamper(signed, "UPDATE audit_entry SET entry = replace(entry, 'anna', 'evan') WHERE entry_index = 17")
    assert await found(signed) == [
        ("audit.entry_missing", "audit/entry/8-9"),
        ("audit.copy_changed", "audit/entry/17"),
        ("audit.entry_changed", "audit/entry/17"),
    ]


async def test_the_first_entries_deleted_are_found(signed: Store) -> None:
    await tamper(signed, "DELETE FROM audit_entry WHERE entry_index < 3")
    assert ("audit.entry_missing", "audit/entry/0-2") in await found(signed)


async def test_swapped_entries_are_found(signed: Store) -> None:
    for old, new in ((9, 1009), (10, 9), (1009, 10)):
        await tamper(signed, "UPDATE audit_entry SET entry_index = :new WHERE entry_index = :old", old=old, new=new)
    places = {place for rule, place in await found(signed) if rule == "audit.entry_misplaced"}
    assert places == {"audit/entry/9", "audit/entry/10"}


async def test_a_history_that_was_rewritten_and_hashed_anew_is_found_between_two_checkpoints(signed: Store) -> None:
    await tamper(signed, CHANGE)
    await rehash(signed)
    assert await found(signed) == [
        ("audit.history_rewritten", "audit/entry/7-13"),
        ("audit.history_rewritten", "audit/entry/7-20"),
    ]
    with pytest.raises(AuditRolledBack, match="does not begin with"):
        await checkpoint_now(signed, KEY, CLOCK)


async def test_a_fork_that_is_signed_with_the_stolen_key_is_found_by_who_kept_a_checkpoint(signed: Store) -> None:
    async with signed.read() as connection:
        kept = await latest_checkpoint(connection, KEY.verifier)
    assert kept is not None
    await tamper(signed, CHANGE)
    await rehash(signed)
    await tamper(signed, "DELETE FROM audit_checkpoint")
    await checkpoint_now(signed, KEY, CLOCK)
    assert await found(signed) == []
    (one,) = (await verified(signed, [("my note", kept)])).findings
    assert one.rule == "audit.history_rewritten"


async def test_a_forged_entry_at_the_end_is_no_part_of_what_was_signed(signed: Store) -> None:
    text = '{"action":"a.b","actor":"anna","at":"2026-01-01T00:00:00.000000Z","data":{},"index":21,"subject":"s"}'
    row = {"entry_index": 21, "at": CLOCK.now(), "action": "a.b", "actor": "anna", "subject": "s", "entry": text}
    async with signed.begin() as connection:
        await connection.execute(insert(tables.entry), row | {"nodes": leaf_hash(b"something else")})
    assert await found(signed) == [("audit.entry_changed", "audit/entry/21"), ("audit.node_changed", "audit/entry/21")]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE audit_checkpoint SET note = replace(note, '14', '15') WHERE size = 14", "does not fit"),
        ("UPDATE audit_checkpoint SET note = 'nothing' WHERE size = 14", "a signed note is"),
        ("UPDATE audit_checkpoint SET size = 15 WHERE size = 14", "its note is of 14"),
    ],
)
async def test_a_changed_checkpoint_is_found(signed: Store, statement: str, message: str) -> None:
    await tamper(signed, statement)
    first, *_ = (await verified(signed)).findings
    assert first.rule == "audit.checkpoint_invalid"
    assert message in first.summary


async def test_a_checkpoint_of_another_key_is_not_taken(signed: Store) -> None:
    thief = SigningKey.generate(KEY.name)
    made = sign_checkpoint(thief, size=21, root=bytes(32))
    row = {"size": 21, "signer": thief.verifier.identifier, "at": CLOCK.now(), "note": str(made)}
    async with signed.begin() as connection:
        await connection.execute(insert(tables.checkpoint), row)
    assert await found(signed) == [("audit.checkpoint_invalid", "audit/checkpoint/21")]


async def test_without_any_checkpoint_it_is_told_that_nothing_is_proved(signed: Store) -> None:
    await tamper(signed, "DELETE FROM audit_checkpoint")
    assert await found(signed) == [("audit.unsigned", "audit/checkpoint")]


async def test_a_look_since_a_checkpoint_reads_only_what_came_after_it(signed: Store) -> None:
    await tamper(signed, "UPDATE audit_entry SET entry = 'gone' WHERE entry_index = 2")  # before: not looked at
    result = await verified(signed, since=14)
    assert (result.findings, result.checked_from, result.signed_size) == ([], 14, 21)
    await tamper(signed, "UPDATE audit_entry SET entry = replace(entry, 'anna', 'evan') WHERE entry_index = 15")
    assert {one.subject for one in (await verified(signed, since=14)).findings} == {"audit/entry/15"}
    await tamper(signed, "DELETE FROM audit_entry WHERE entry_index = 11")  # its subtree is part of what is built on
    assert (await verified(signed, since=14)).findings[0].subject == "audit/entry/0-13"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET entry = x'ff00' WHERE entry_index = 9",
        "UPDATE audit_entry SET entry = CAST(x'fffe' AS TEXT), nodes = 'text' WHERE entry_index = 9",
        "UPDATE audit_entry SET at = 'never', actor = x'ff' WHERE entry_index = 9",
        "UPDATE audit_entry SET entry = '' WHERE entry_index = 9",
        "UPDATE audit_entry SET entry_index = -1 WHERE entry_index = 9",
    ],
)
async def test_values_of_types_that_only_sqlite_allows_are_findings_and_no_crash(signed: Store, statement: str, place) -> None:
    if place.path is None:
        pytest.skip("PostgreSQL refuses such values")
    await tamper(signed, statement)
    assert await found(signed) != []


async def test_a_long_log_is_read_in_parts(store: Store) -> None:
    await AuditLog(CLOCK).append(store, *(draft(number) for number in range(2500)))
    await checkpoint_now(store, KEY, CLOCK)
    assert (await verified(store)).findings == []
    await tamper(store, "DELETE FROM audit_entry WHERE entry_index = 1000")
    assert await found(store) == [("audit.entry_missing", "audit/entry/1000-1000")]


async def test_a_note_that_was_changed_is_not_continued(signed: Store) -> None:
    await tamper(signed, "UPDATE audit_checkpoint SET note = replace(note, '21', '20') WHERE size = 21")
    with pytest.raises(NoteInvalid, match="does not fit"):
        await checkpoint_now(signed, KEY, CLOCK)
