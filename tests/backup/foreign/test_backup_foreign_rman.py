"""What RMAN and SQL*Plus print, and what dbre makes of it; on documented output, no Oracle is near."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unproved_kit import ME, Program, private, text

from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.core.errors import Denied, Refused, Unsupported, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind, RecoveryTarget, TargetKind
from dbre.tools.rman import RmanRepository, commands
from dbre.tools.rman.csv_rows import number, parse_rows
from dbre.tools.rman.output import (
    crosschecked_expired,
    error_stack,
    parse_obsolete,
    parse_preview,
    parse_summary,
    parse_validation,
)
from dbre.tools.rman.program import open_client
from dbre.tools.rman.redo import RedoLog, foreign_logs, read_redo
from dbre.tools.rman.sessions import read_sessions, session_problems, sets_of

INCARNATIONS = {925702: 2}
FILES = {1: 7, 2: 1834}


def rows() -> list[dict[str, str]]:
    return parse_rows(text("sqlplus_datafile_backups.csv"), query="datafile_backups", status=0)


def sets(found: list[dict[str, str]], datafiles: dict[int, int] | None = None):
    sessions = read_sessions(found, INCARNATIONS)
    return sets_of(sessions, system_id="2142854297", datafiles=datafiles or FILES, version="19.0.0.0.0", parents={})


def log(thread: int, sequence: int, first: int, following: int, *, incarnation: int = 2) -> RedoLog:
    return RedoLog(
        thread=thread, sequence=sequence, incarnation=incarnation, first=first, next=following, bytes=1, stored_at=None
    )


def ranges(logs: list[RedoLog], *threads: int) -> list[tuple[int, int]]:
    found = sorted((one.file.start, one.file.end) for one in foreign_logs(logs, system_id="7", threads=threads))
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def test_a_level_1_stands_on_the_level_0_that_has_every_change_it_lacks() -> None:
    base, level_1 = sets(rows())
    assert (base.label, base.kind, base.parent) == ("WEEKLY_L0", CopyKind.FULL, None)
    assert (level_1.label, level_1.kind, level_1.parent) == ("DAILY_L1", CopyKind.INCREMENTAL, "WEEKLY_L0")
    assert base.start is not None
    assert base.stop is not None
    assert (base.start.text, base.stop.text) == ("143491310070", "143491310090")
    assert base.bytes_stored == 120586240 + 98566144


def test_a_level_1_whose_level_0_is_gone_names_the_change_it_needs() -> None:
    (level_1,) = sets([row for row in rows() if row["tag"] != "WEEKLY_L0"])
    assert level_1.parent == "a level 0 or 1 with every change up to SCN 143491310070"


def test_a_level_0_that_is_younger_than_the_level_1_needs_is_no_base_of_it() -> None:
    found = [row | {"checkpoint_change": "143491310000"} if row["tag"] == "WEEKLY_L0" else row for row in rows()]
    assert sets(found)[1].parent != "WEEKLY_L0"


def test_no_level_1_stands_on_a_full_backup() -> None:
    found = [row | {"incremental_level": ""} if row["tag"] == "WEEKLY_L0" else row for row in rows()]
    full, level_1 = sets(found)
    assert full.kind is CopyKind.FULL
    assert level_1.parent != full.label


def test_a_session_without_every_data_file_is_no_set_and_is_told() -> None:
    assert sets(rows(), {**FILES, 5: 100}) == ()
    told = list(session_problems(read_sessions(rows(), INCARNATIONS), {**FILES, 5: 100}))
    assert {one.rule for one in told} == {"backup.partial_set"}
    assert "without 5" in told[0].message


def test_a_backup_set_with_a_lost_piece_does_not_count() -> None:
    found = [row | {"pieces_available": "0"} if row["bs_key"] == "2" else row for row in rows()]
    assert [one.label for one in sets(found)] == ["DAILY_L1"]
    rules = [one.rule for one in session_problems(read_sessions(found, INCARNATIONS), FILES)]
    assert rules[0] == "backup.pieces_missing"


def test_a_data_file_that_was_made_later_is_not_missed() -> None:
    assert len(sets(rows(), {**FILES, 6: 999_999_999_999})) == 2


def test_two_sessions_of_one_tag_have_two_labels() -> None:
    again = [row | {"session_recid": "12", "session_stamp": "1300"} for row in rows() if row["tag"] == "WEEKLY_L0"]
    labels = [one.label for one in sets([*rows(), *again])]
    assert len(set(labels)) == len(labels) == 3


def test_a_hole_in_one_thread_is_a_hole_for_all_of_them() -> None:
    threads = [log(1, 1, 0, 10), log(1, 2, 10, 20), log(1, 3, 20, 30), log(2, 1, 0, 8), log(2, 3, 15, 30)]
    assert ranges(threads, 1, 2) == [(0, 8), (15, 30)]


def test_redo_counts_up_to_the_shortest_enabled_thread() -> None:
    assert ranges([log(1, 1, 0, 40), log(2, 1, 0, 25)], 1, 2) == [(0, 25)]
    assert ranges([log(1, 1, 0, 40), log(2, 1, 0, 25)], 1) == [(0, 40)]


def test_one_log_in_two_places_with_two_ranges_is_told() -> None:
    row = {"thread": "1", "sequence": "5", "resetlogs_change": "925702", "bytes": "", "stored_at": ""}
    one, other = (row | {"first_change": "10", "next_change": following} for following in ("20", "25"))
    assert len(read_redo([one, one], INCARNATIONS)) == 1
    with pytest.raises(ProgramFailed, match="is listed from SCN"):
        read_redo([one, other | {"first_change": "11"}], INCARNATIONS)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 2), st.integers(1, 9)), max_size=12))
def test_no_scn_counts_that_a_thread_lacks(made: list[tuple[int, int, int]]) -> None:
    """Against brute force: an SCN counts only where every thread whose logs go around it has it."""
    logs: dict[tuple[int, int], RedoLog] = {}
    for sequence, thread, _ in made:
        logs[thread, sequence] = log(thread, sequence, sequence * 10 + thread, sequence * 10 + 10 + thread)
    found = ranges(list(logs.values()))
    for scn in range(150):
        is_there = any(start <= scn < end for start, end in found)
        having = [one for one in logs.values() if one.first <= scn < one.next]
        by_thread = {thread: [one for one in logs.values() if one.thread == thread] for thread in (1, 2)}
        lacking = [
            own
            for own in by_thread.values()
            if own
            and min(one.first for one in own) <= scn < max(one.next for one in own)
            and not any(one.first <= scn < one.next for one in own)
        ]
        assert is_there == (bool(having) and not lacking)


@given(st.integers(0, len(text("sqlplus_datafile_backups.csv")) - 2))
def test_rows_that_are_cut_off_are_never_taken_for_all_of_them(end: int) -> None:
    with pytest.raises(ProgramFailed):
        parse_rows(text("sqlplus_datafile_backups.csv")[:end], query="datafile_backups", status=0)


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\0")))
def test_a_hostile_tag_stays_in_its_value(tag: str) -> None:
    quoted = tag.replace('"', '""')
    (row,) = parse_rows(f'\n"TAG","KEY"\n"{quoted}","1"\ndbre-end\n', query="x", status=0)
    assert row == {"tag": tag, "key": "1"}


def test_an_error_of_the_server_is_no_row() -> None:
    said = "SELECT *\n       *\nERROR at line 1:\nORA-01507: database not mounted\n"
    with pytest.raises(ProgramFailed, match="ORA-01507: database not mounted"):
        parse_rows(said, query="database", status=1)


def test_an_scn_that_sqlplus_rounded_is_refused() -> None:
    with pytest.raises(ProgramFailed, match="no whole number"):
        number({"scn": "1.4349E+11"}, "scn")


def test_the_summary_is_read_whatever_the_form_of_its_moments() -> None:
    found = parse_summary(text("rman_list_summary.txt"))
    assert [(one.key, one.level, one.status, one.tag) for one in found] == [
        (1, "A", "A", "WEEKLY_ARCH"),
        (2, "0", "A", "WEEKLY_L0"),
        (3, "F", "X", "TAG20261120T010055"),
        (4, "1", "U", None),
    ]


def test_a_validation_that_found_damage_tells_all_of_it() -> None:
    files, faults = parse_validation(text("rman_validate.txt"), command="BACKUP VALIDATE")
    assert files == 6
    assert [(one.rule, one.subject) for one in faults] == [
        ("tool_says", "datafile 1"),
        ("checksum", "datafile 1"),
        ("checksum", "datafile 2"),
        ("checksum", "log 23 of thread 1"),
    ]


def test_a_backup_that_is_missing_is_a_fault_with_the_words_of_rman() -> None:
    _, faults = parse_validation(text("rman_restore_missing.txt"), command="RESTORE DATABASE VALIDATE")
    assert faults[-1].detail == "RMAN-06023: no backup or copy of datafile 5 found to restore"
    assert not any("RMAN-00571" in one.detail for one in faults)


@given(st.integers(0, len(text("rman_validate.txt").rstrip()) - 1))
def test_a_validation_that_was_cut_off_is_never_good(end: int) -> None:
    _, faults = parse_validation(text("rman_validate.txt")[:end], command="x")
    assert "not_verified" in {one.rule for one in faults}


def test_silence_is_no_validation() -> None:
    _, faults = parse_validation("\nRecovery Manager complete.\n", command="x")
    assert [one.rule for one in faults] == ["not_verified"]


def test_preview_and_obsolete_are_read() -> None:
    preview = parse_preview(text("rman_preview.txt"))
    assert (preview.start, preview.beyond) == (143491310070, 143493651494)
    assert parse_preview("").start is None
    assert [(one.type, one.key) for one in parse_obsolete(text("rman_report_obsolete.txt"))] == [
        ("Backup Set", 2),
        ("Archive Log", 22),
        ("Control File Copy", 4),
    ]
    assert parse_obsolete("no obsolete backups found\n") == ()
    assert error_stack("RMAN-08138: WARNING: archived log not deleted - must create more backups\n") == ()
    assert crosschecked_expired("crosschecked backup piece: found to be 'AVAILABLE'\n") == 0


def test_a_restore_is_validated_with_the_redo_that_it_needs() -> None:
    found = commands.validations(start=10, until=20, reads_source=True)
    assert "RESTORE ARCHIVELOG FROM SCN 10 UNTIL SCN 20 VALIDATE;" in found
    assert found[-1] == "BACKUP VALIDATE CHECK LOGICAL DATABASE ARCHIVELOG ALL;"
    assert commands.CROSSCHECK[0] == "CROSSCHECK BACKUP;"
    with pytest.raises(UsageError):
        commands.backup(CopyKind.FULL, "X'; DELETE NOPROMPT BACKUP; --")
    with pytest.raises(Unsupported):
        commands.backup(CopyKind.SNAPSHOT, "X")


@pytest.mark.parametrize("name", ["", "x y", "sys/secret@prod", "-h", 'a"', "a\nEXIT", "a'"])
def test_what_is_no_service_name_never_reaches_rman(name: str) -> None:
    with pytest.raises(UsageError):
        open_client(account=ME, config=None, database=name)


def test_settings_that_others_may_read_are_refused(tmp_path) -> None:
    config = private(tmp_path / "oracle", "TNS_ADMIN=/etc/oracle\n")
    config.chmod(0o644)
    with pytest.raises(Denied, match="0644"):
        open_client(account=ME, config=config, database="PROD")
    config.chmod(0o600)
    config.write_text("PASSWORD=hush\n")
    with pytest.raises(UsageError) as raised:
        open_client(account=ME, config=config, database="PROD")
    assert "hush" not in str(raised.value)


def csv(*rows: dict[str, object]) -> str:
    lines = [",".join(f'"{value}"' for value in row.values()) for row in rows]
    return "\n".join(["", ",".join(f'"{name.upper()}"' for name in rows[0]), *lines, "dbre-end", ""])


@pytest.fixture
def oracle(tmp_path, monkeypatch):
    home = tmp_path / "bin"
    database = {
        "dbid": "2142854297",
        "name": "PROD",
        "log_mode": "ARCHIVELOG",
        "version": "19.0.0.0.0",
        "autobackup": "ON",
        "retention": "",
        "corrupt_ranges": "0",
    }
    redo = [
        {
            "thread": 1,
            "sequence": n,
            "resetlogs_change": 925702,
            "first_change": a,
            "next_change": b,
            "bytes": 1024,
            "stored_at": "2026-11-21T02:00:00",
        }
        for n, a, b in [(41, 143491310000, 143492000000), (42, 143492000000, 143493700000)]
    ]
    sqlplus = Program(
        home,
        "sqlplus",
        [
            ("FROM v$backup_datafile b", text("sqlplus_datafile_backups.csv"), 0),
            (
                "FROM v$database_incarnation",
                csv({"incarnation": 2, "prior": 1, "resetlogs_change": 925702, "status": "CURRENT"}),
                0,
            ),
            ("FROM v$database d", csv(database), 0),
            ("FROM v$datafile f", csv(*({"file_number": n, "creation_change": c} for n, c in FILES.items())), 0),
            ("FROM v$backup_redolog", csv(*redo), 0),
            ("FROM v$thread", csv({"thread": 1, "status": "OPEN"}), 0),
        ],
    )
    rman = Program(
        home,
        "rman",
        [
            ("LIST BACKUP SUMMARY", text("rman_list_summary.txt"), 0),
            ("RESTORE", text("rman_restore_missing.txt"), 1),
            ("VALIDATE", text("rman_validate.txt"), 0),
            ("REPORT OBSOLETE", text("rman_report_obsolete.txt"), 0),
            ("CROSSCHECK", "Crosschecked 3 objects\n\nRecovery Manager complete.\n", 0),
            ("DELETE", "must never be asked\n", 9),
            ("EXIT", "Recovery Manager: Release 19.0.0.0.0 - Production\n\nRecovery Manager complete.\n", 0),
        ],
    )
    monkeypatch.setenv("PATH", str(home), prepend=":")
    monkeypatch.delenv("ORACLE_HOME", raising=False)
    monkeypatch.delenv("TNS_ADMIN", raising=False)
    config = private(tmp_path / "oracle", f"ORACLE_HOME={tmp_path}\nTNS_ADMIN={tmp_path}\n")
    return RmanRepository(account=ME, config=config, database="PROD"), sqlplus, rman


async def test_a_database_is_looked_at_and_judged(oracle) -> None:
    repository, sqlplus, rman = oracle
    facts = await repository.look()
    assert [one.label for one in facts.sets] == ["WEEKLY_L0", "DAILY_L1"]
    assert {one.message for one in facts.problems} == {
        "LIST BACKUP calls backup set 3 (TAG20261120T010055) expired",
        "LIST BACKUP calls backup set 4 (no tag) unavailable",
    }
    seen = Seen(repository="rman/PROD", cluster="prod", engine="oracle", is_proved=False, now=facts.sets[0].stopped_at)
    opinion = form_opinion(facts, seen)
    assert [one.problem for one in opinion.sets] == [None, None]
    assert opinion.exposure.until is not None
    assert opinion.exposure.until.text == "143493700000"
    assert [one.rule for one in opinion.problems if one.rule == "backup.not_proved"] == ["backup.not_proved"]
    cut = form_opinion(replace(facts, logs=facts.logs[:1]), seen)
    assert cut.sets[1].problem is not None
    for one in (*sqlplus.calls, *rman.calls):
        assert one["environment"]["NLS_DATE_FORMAT"]
    assert sqlplus.calls[0]["argv"][1:] == ["-S", "-L", "-M", "CSV ON DELIMITER , QUOTE ON", "/@PROD", "AS", "SYSBACKUP"]
    assert all(len(one["argv"]) == 1 for one in rman.calls)
    assert rman.calls[-1]["stdin"].startswith('CONNECT TARGET "/@PROD AS SYSBACKUP"\nLIST BACKUP SUMMARY;')


async def test_nothing_is_deleted_where_what_would_remain_cannot_be_restored(oracle) -> None:
    repository, _, rman = oracle
    assert list(await repository.expire(dry_run=True)) == ["WEEKLY_L0"]
    with pytest.raises(Refused, match="nothing is deleted"):
        await repository.expire(dry_run=False)
    asked = [one["stdin"] for one in rman.calls]
    assert not any("DELETE" in one for one in asked)
    assert sum("CROSSCHECK" in one for one in asked) == 1


async def test_what_this_adapter_cannot_do_it_says(oracle, tmp_path) -> None:
    repository, _, _ = oracle
    with pytest.raises(Unsupported, match="auxiliary instance"):
        await repository.restore("WEEKLY_L0", tmp_path, target=RecoveryTarget(kind=TargetKind.LATEST))
    with pytest.raises(Unsupported):
        await repository.fetch("thread_1_seq_41", tmp_path / "x")
