"""The history of msdb as sqlcmd prints it, and the chains that dbre computes from it; no SQL Server is near."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unproved_kit import ME, Program, private, text

from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.capabilities.backup.second_opinion.model import Opinion
from dbre.core.errors import Unsupported, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind, Tool
from dbre.ports.backup.repository import RepositoryFacts
from dbre.tools.call import Ended
from dbre.tools.sqlserver_backup import SqlServerRepository
from dbre.tools.sqlserver_backup.history import Backup, parse_database, parse_history
from dbre.tools.sqlserver_backup.lsn_chain import chain_problems, recovery_forks, set_of, stored_log, switches_of
from dbre.tools.sqlserver_backup.program import declarations, failures, open_client
from dbre.tools.sqlserver_backup.verifying import faults_of, verify_batch

DATABASE = json.dumps(
    [
        {
            "version": "16.0.4155.4",
            "recovery_model": "FULL",
            "state": "ONLINE",
            "page_verify": "CHECKSUM",
            "checked_local": "2026-11-20T03:00:00",
            "checked_days": 1,
            "suspect_pages": 0,
            "has_procedures": True,
        }
    ]
)


def history() -> list[dict]:
    return json.loads(text("sqlcmd_history.txt").replace("\n", ""))


def read(found: list[dict]) -> tuple[Backup, ...]:
    return parse_history(json.dumps(found))


def opinion(found: list[dict]) -> Opinion:
    backups = read(found)
    forks = recovery_forks(backups)
    facts = RepositoryFacts(
        tool=Tool(name="sqlserver", version=None, path=None, problem=None),
        sets=tuple(one for one in (set_of(row, backups, forks) for row in backups) if one is not None),
        logs=tuple(one for one in (stored_log(row, forks) for row in backups) if one is not None),
        problems=tuple(chain_problems(backups, None)),
        switches=switches_of(backups, forks),
    )
    now = backups[-1].finished_at
    return form_opinion(facts, Seen(repository="s", cluster="s", engine="sqlserver", is_proved=False, now=now))


def test_a_whole_chain_reaches_to_the_end_of_its_last_log() -> None:
    told = opinion(history())
    assert [(one.found.label, one.found.kind, one.found.parent, one.problem) for one in told.sets] == [
        ("1D", CopyKind.FULL, None, None),
        ("3I", CopyKind.DIFFERENTIAL, "1D", None),
    ]
    assert told.holes == ()
    assert told.exposure.until is not None
    assert told.exposure.until.text == "40000003920000001"


def test_a_log_backup_that_is_missing_is_a_hole_with_its_lsns() -> None:
    rows = [*history()[:2], {**history()[3], "first_lsn": "40000003911500001"}]
    told = opinion(rows)
    assert [(one.start.text, one.end.text) for one in told.holes] == [("40000003910000001", "40000003911500001")]
    assert told.exposure.until is not None
    assert told.exposure.until.text == "40000003910000001"


def test_a_differential_behind_the_hole_does_not_mend_it_for_the_full() -> None:
    told = opinion([history()[0], history()[2], history()[3]])
    assert told.holes
    assert told.sets[1].reaches is not None
    assert told.sets[1].reaches.text == "40000003920000001"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"checkpoint_lsn": "40000003895200999"}, id="another checkpoint"),
        pytest.param({"is_copy_only": True}, id="copy only"),
        pytest.param({"uuid": "ffffffff-0000-0000-0000-000000000001"}, id="another guid"),
        pytest.param({"family": "ffffffff-3b1f-4b5e-a7ea-3d9f06a0b1c1"}, id="another database"),
    ],
)
def test_a_differential_without_its_own_full_is_unusable(change: dict) -> None:
    told = opinion([{**history()[0], **change}, *history()[1:]])
    differential = next(one for one in told.sets if one.found.label == "3I")
    assert differential.problem is not None
    assert "40000003895200170" in differential.problem


def test_a_recovery_fork_is_a_timeline_of_its_own() -> None:
    forked = {"first_fork": "f1", "last_fork": "f2", "fork_point": "40000003915000001"}
    backups = read([*history()[:3], {**history()[3], **forked}])
    forks = recovery_forks(backups)
    (switch,) = switches_of(backups, forks)
    assert (switch.parent, switch.timeline, switch.at) == (1, 2, 40000003915000001)
    told = opinion([*history()[:3], {**history()[3], **forked}])
    assert told.exposure.until is not None
    assert (told.exposure.until.timeline, told.exposure.until.text) == (2, "40000003920000001")


def test_what_msdb_calls_a_backup_and_is_none_is_told() -> None:
    odd = [
        {**history()[0], "id": 11, "has_checksums": False},
        {**history()[0], "id": 12, "is_snapshot": True},
        {**history()[1], "id": 13, "files": [{"number": 1, "path": "NUL", "device": 2}]},
        {**history()[0], "id": 14, "type": "F"},
    ]
    rules = [one.rule for one in chain_problems(read(odd), None)]
    assert rules == [
        "backup.database_not_seen",
        "backup.no_checksums",
        "backup.partial_set",
        "backup.partial_set",
        "backup.thrown_away",
    ]


def test_a_damaged_backup_holds_no_log() -> None:
    backups = read([{**history()[0], "is_damaged": True}])
    assert stored_log(backups[0], {"f1": 1}) is None
    found = set_of(backups[0], backups, {"f1": 1})
    assert found is not None
    assert "damaged" in (found.error or "")


def test_never_checked_is_unknown_and_not_a_long_time() -> None:
    never = parse_database(DATABASE.replace("2026-11-20T03:00:00", "1900-01-01T00:00:00"))
    assert never is not None
    assert never.days_since_check is None
    (told,) = [one for one in chain_problems(read(history()), never) if one.rule == "backup.not_checked"]
    assert "is not known" in told.message
    assert parse_database("[]") is None


def test_moments_are_utc_by_the_offset_of_their_row() -> None:
    first = read(history())[0]
    assert first.started_at.timestamp() == history()[0]["started_local"] - 3600
    for wrong in (
        {"started_local": 10**12},
        {"offset_minutes": 10**17},
        {"started_local": -62_135_596_800, "offset_minutes": 1},
    ):
        (one,) = read([history()[0] | wrong])
        with pytest.raises(ProgramFailed, match="a moment that is none"):
            _ = one.started_at


def test_a_heading_of_the_column_is_no_part_of_the_document() -> None:
    printed = "document\n" + "-" * 256 + "\n" + text("sqlcmd_history.txt")
    assert parse_history(printed) == parse_history(text("sqlcmd_history.txt"))
    name = "JSON_F52E2B61-18A1-11d1-B105-00805F49916B".upper()
    assert parse_history(f"{name}\n{'-' * 40}\n[]\n") == ()


@given(st.integers(0, len(text("sqlcmd_history.txt").rstrip()) - 1))
def test_a_history_that_sqlcmd_cut_off_is_never_a_short_one(end: int) -> None:
    with pytest.raises(ProgramFailed):
        parse_history(text("sqlcmd_history.txt")[:end])


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_no_path_can_leave_the_constant_it_is_in(path: str) -> None:
    written = declarations({"p1": path})
    assert written.startswith("DECLARE @p1 nvarchar(4000) = CAST(0x")
    assert written.count("\n") == 1
    assert bytes.fromhex(written.partition("0x")[2].partition(" ")[0]).decode("utf-16-le") == path


@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60), st.text(max_size=20))
def test_hostile_names_stay_on_their_line(path: str, tool: str) -> None:
    row = {**history()[0], "files": [{"number": 1, "path": path, "device": 2}], "version": "16"}
    for one in opinion([row, *history()[1:]]).problems:
        assert "\n" not in one.message


@pytest.mark.parametrize("name", ["", "a\nGO\n!!rm", "x" * 129, "a\0b"])
def test_what_is_no_database_never_reaches_sqlcmd(name: str) -> None:
    with pytest.raises(UsageError):
        open_client(account=ME, config=None, database=name)


@pytest.mark.parametrize("line", ["SQLCMDSERVER=-Q x", "SQLCMDSERVER=a b", "SQLCMDPASSWORD=hush", "SQLCMDINI=/tmp/x", "hush"])
def test_settings_that_cannot_be_are_refused_without_showing_them(tmp_path, line: str) -> None:
    with pytest.raises(UsageError) as raised:
        open_client(account=ME, config=private(tmp_path / "s", line + "\n"), database="shop")
    assert "hush" not in str(raised.value)


def test_a_striped_backup_is_verified_with_all_its_files() -> None:
    files = [{"number": number, "path": f"/b/{number}", "device": 2} for number in (2, 1)]
    (one,) = read([{**history()[0], "files": files, "position": 3}])
    batch = verify_batch(one)
    assert batch.endswith("RESTORE VERIFYONLY FROM DISK = @p1, DISK = @p2 WITH FILE = @position, CHECKSUM;\n")
    assert "/b/1".encode("utf-16-le").hex() in batch.splitlines()[0]
    (tape,) = read([{**history()[0], "files": [{"number": 1, "path": "x", "device": 5}]}])
    with pytest.raises(Unsupported):
        verify_batch(tape)


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "rules"),
    [
        pytest.param(0, "sqlcmd_verifyonly.txt", "", [], id="valid"),
        pytest.param(1, "", "sqlcmd_verifyonly_bad.txt", ["tool_says", "tool_says"], id="damaged"),
        pytest.param(0, "", "", ["not_verified"], id="silence"),
        pytest.param(0, "sqlcmd_verifyonly.txt", "sqlcmd_verifyonly_bad.txt", ["tool_says", "tool_says"], id="both"),
    ],
)
def test_a_set_is_valid_only_where_the_server_says_so(status: int, stdout: str, stderr: str, rules: list[str]) -> None:
    said = [text(name).encode() if name else b"" for name in (stdout, stderr)]
    ended = Ended(status=status, stdout=said[0], stderr=said[1], seconds=0.1)
    assert [one.rule for one in faults_of(read(history())[0], ended)] == rules
    if rules[0:1] == ["tool_says"]:
        assert failures(ended)[0].startswith("Msg 3203: Read on")


async def test_the_password_is_in_the_environment_and_nowhere_else(tmp_path, monkeypatch) -> None:
    program = Program(
        tmp_path / "bin",
        "sqlcmd",
        [
            ("FROM sys.databases", DATABASE, 0),
            ("@after bigint = 0;", text("sqlcmd_history.txt"), 0),
            ("RESTORE VERIFYONLY", text("sqlcmd_verifyonly.txt"), 0),
        ],
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    config = private(tmp_path / "s", "SQLCMDSERVER=db1,1433\nSQLCMDUSER=dbre\nSQLCMDPASSWORD=hush=hush\n")
    repository = SqlServerRepository(account=ME, config=config, database="shop")
    facts = await repository.look()
    assert [one.label for one in facts.sets] == ["1D", "3I"]
    assert facts.problems == ()
    verified = await repository.verify()
    assert (verified.is_good, verified.files) == (True, 4)
    for one in program.calls:
        assert "hush" not in " ".join(one["argv"])
        assert one["environment"]["SQLCMDPASSWORD"] == "hush=hush"
        assert one["argv"][1:17] == [
            "-S",
            "db1,1433",
            "-d",
            "master",
            "-N",
            "-b",
            "-x",
            "-I",
            "-r",
            "1",
            "-l",
            "30",
            "-y",
            "0",
            "-Q",
            one["argv"][16],
        ]
        assert "-P" not in one["argv"]
    with pytest.raises(Unsupported):
        await repository.backup(CopyKind.INCREMENTAL, None)
