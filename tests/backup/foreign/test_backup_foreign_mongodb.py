"""Dumps of mongodump read byte by byte, and what PBM says; no MongoDB is near."""

import gzip
import io
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unproved_kit import ME, Program, private, text

from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.core.errors import Denied, Refused, Unsupported, UsageError
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind, RecoveryTarget, TargetKind
from dbre.tools.foreign_repository import open_repository
from dbre.tools.mongodb_backup import DumpRepository, PbmRepository
from dbre.tools.mongodb_backup.bson_stream import BrokenBson, documents, timestamp_of
from dbre.tools.mongodb_backup.dump_directory import check_dump, read_dump
from dbre.tools.mongodb_backup.dump_repository import oplog_limit
from dbre.tools.mongodb_backup.optime import optime, parse_optime
from dbre.tools.mongodb_backup.pbm_documents import foreign_logs, parse_list, parse_status, pbm_problems, sets_of
from dbre.tools.mongodb_backup.pbm_repository import backup_words
from dbre.tools.mongodb_backup.program import Topology, dump_argv, open_tools, require_replica_set, restore_argv
from dbre.tools.mongodb_backup.scratch_server import server_argv

AT = 1795222800


def document(*elements: bytes) -> bytes:
    body = b"".join(elements) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def entry(seconds: int, ordinal: int) -> bytes:
    """An entry of an oplog as the server writes it: lsid and o before ts, so that everything must be passed over."""
    inner = document(b"\x10n\0" + struct.pack("<i", 1))
    return document(
        b"\x03o\0" + inner,
        b"\x05id\0" + struct.pack("<i", 3) + b"\x04abc",
        b"\x02op\0" + struct.pack("<i", 2) + b"i\0",
        b"\x11ts\0" + struct.pack("<II", ordinal, seconds),
        b"\x12t\0" + struct.pack("<q", 4),
    )


def make_dump(root: Path, name: str = "20261121T010000Z", *, oplog: bytes | None = None, zipped: bool = True) -> Path:
    path = root / name
    (path / "shop").mkdir(parents=True)
    suffix, pack = (".gz", gzip.compress) if zipped else ("", bytes)
    (path / f"shop/orders.bson{suffix}").write_bytes(pack(document(b"\x10_id\0" + struct.pack("<i", 1)) * 3))
    (path / f"shop/orders.metadata.json{suffix}").write_bytes(pack(b"{}"))
    (path / f"prelude.json{suffix}").write_bytes(pack(b'{"ServerVersion":"7.0.14","ToolVersion":"100.10.0"}'))
    told = entry(AT, 1) + entry(AT, 2) + entry(AT + 9, 3) if oplog is None else oplog
    (path / f"oplog.bson{suffix}").write_bytes(pack(told))
    return path


@pytest.mark.parametrize("zipped", [True, False], ids=["gzip", "plain"])
def test_a_dump_is_consistent_at_the_end_of_its_oplog(tmp_path, zipped: bool) -> None:
    dump = read_dump(make_dump(tmp_path, zipped=zipped))
    assert dump is not None
    assert (dump.first, dump.last) == (AT * 2**32 + 1, (AT + 9) * 2**32 + 3)
    assert (dump.server_version, dump.is_compressed, dump.problem) == ("7.0.14", zipped, None)
    files, faults = check_dump(dump)
    assert (files, faults) == (4, ())


async def test_dumps_are_judged_like_every_other_repository(tmp_path) -> None:
    make_dump(tmp_path)
    make_dump(tmp_path, "20261122T010000Z", oplog=b"")
    make_dump(tmp_path, ".20261123T010000Z.half")
    (tmp_path / "not a dump").mkdir()
    facts = await open_repository("mongodb", account=ME, config=None, stanza=str(tmp_path)).look()
    assert [one.rule for one in facts.problems] == ["backup.not_consistent"]
    opinion = form_opinion(
        facts, Seen(repository="m", cluster="m", engine="mongodb", is_proved=False, now=datetime(2026, 11, 21, tzinfo=UTC))
    )
    problems = {one.found.label: one.problem for one in opinion.sets}
    assert problems["20261121T010000Z"] is None
    assert problems["20261122T010000Z"] is not None
    assert opinion.exposure.until is not None
    assert opinion.exposure.until.text == f"{AT + 9}:4"


@given(st.data())
def test_an_oplog_that_is_cut_off_is_never_a_short_one(data) -> None:
    whole = entry(AT, 1) + entry(AT, 2)
    end = data.draw(st.integers(1, len(whole) - 1).filter(lambda one: one != len(entry(AT, 1))))
    with pytest.raises(BrokenBson):
        list(documents(io.BytesIO(whole[:end])))


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_fail_in_another_way(content: bytes) -> None:
    try:
        for one in documents(io.BytesIO(content)):
            timestamp_of(one)
    except BrokenBson:
        pass


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_positions_are_written_and_read_and_ordered(seconds: int, ordinal: int) -> None:
    assert timestamp_of(entry(seconds, ordinal)) == parse_optime(f"{seconds}:{ordinal}").value
    assert optime(seconds * 2**32 + ordinal).text == f"{seconds}:{ordinal}"


@pytest.mark.parametrize("wrong", ["", "1", "1:", "1:x", "4294967296:0", "-1:0", "1:1 ", "1:1\n"])
def test_what_is_no_position_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        parse_optime(wrong)


@pytest.mark.parametrize(
    ("file", "content", "rule"),
    [
        pytest.param("shop/orders.bson", b"\x10\0\0\0cut", "checksum", id="cut off"),
        pytest.param("shop/orders.bson", b"\xff\xff\xff\x7f", "checksum", id="a length that cannot be"),
        pytest.param("shop/orders.metadata.json", None, "missing_file", id="no metadata"),
        pytest.param("oplog.bson", None, "log_gap", id="no oplog"),
        pytest.param("oplog.bson", entry(AT, 2) + entry(AT, 1), "log_gap", id="oplog out of order"),
        pytest.param("oplog.bson", entry(AT, 2)[:-3], "checksum", id="oplog cut off"),
    ],
)
def test_every_damage_of_a_dump_is_named(tmp_path, file: str, content: bytes | None, rule: str) -> None:
    path = make_dump(tmp_path, zipped=False)
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)
    dump = read_dump(path)
    assert dump is not None
    assert rule in {one.rule for one in check_dump(dump)[1]}


def test_a_file_that_gzip_cannot_read_to_its_end_is_a_fault(tmp_path) -> None:
    path = make_dump(tmp_path)
    packed = (path / "shop/orders.bson.gz").read_bytes()
    (path / "shop/orders.bson.gz").write_bytes(packed[:-5])
    dump = read_dump(path)
    assert dump is not None
    assert [one.rule for one in check_dump(dump)[1]] == ["checksum"]


def test_a_restore_replays_the_whole_oplog_of_its_dump_or_is_refused(tmp_path) -> None:
    dump = read_dump(make_dump(tmp_path))
    assert dump is not None
    end = datetime.fromtimestamp(AT + 9, UTC)
    for target in (
        RecoveryTarget(kind=TargetKind.LATEST),
        RecoveryTarget(kind=TargetKind.TIME, at=end),
        RecoveryTarget(kind=TargetKind.POSITION, value=f"{AT + 9}:3"),
    ):
        assert oplog_limit(dump, target) == f"{AT + 9}:4"
    for seconds in (8, 10):
        with pytest.raises(Refused, match="and nowhere else"):
            oplog_limit(dump, RecoveryTarget(kind=TargetKind.TIME, at=datetime.fromtimestamp(AT + seconds, UTC)))
    with pytest.raises(Unsupported):
        oplog_limit(dump, RecoveryTarget(kind=TargetKind.NAME, value="x"))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(Topology(msg="isdbgrid"), "router", id="router"),
        pytest.param(Topology(set_name="rs1", is_shard=True), "one shard", id="shard"),
        pytest.param(Topology(), "no oplog", id="alone"),
    ],
)
def test_what_mongodump_cannot_copy_at_one_moment_is_refused(found: Topology, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        require_replica_set(found)
    require_replica_set(Topology(set_name="rs1"))


def test_no_argument_holds_a_connection_string() -> None:
    dump = dump_argv(Path("mongodump"), config=Path("/c"), directory=Path("/d"))
    assert dump[1:] == ["--config=/c", "--oplog", "--gzip", "--out=/d"]
    restore = restore_argv(
        Path("mongorestore"), socket=Path("/run/a b/m.sock"), dump=Path("/d/x"), limit="1:2", is_compressed=True
    )
    assert restore[1:] == [
        "--uri=mongodb://%2Frun%2Fa b%2Fm.sock/",
        "--oplogReplay",
        "--oplogLimit=1:2",
        "--stopOnError",
        "--gzip",
        "--dir=/d/x",
    ]
    server = server_argv(Path("mongod"), data=Path("/data"), run=Path("/run/x"))
    assert server[server.index("--bind_ip") + 1] == "/run/x/mongodb-27017.sock"


def test_a_configuration_that_others_may_read_or_that_is_none_is_refused(tmp_path) -> None:
    config = private(tmp_path / "m.yaml", "uri: mongodb://u:hush@db1/\n")
    assert "hush" not in repr(open_tools(account=ME, config=config))
    config.chmod(0o640)
    with pytest.raises(Denied):
        open_tools(account=ME, config=config)
    config.chmod(0o600)
    for wrong in ("uri: [hush\n", "hush", "url: hush\n", "- hush\n", ""):
        config.write_text(wrong)
        with pytest.raises(UsageError) as raised:
            open_tools(account=ME, config=config)
        assert "hush" not in str(raised.value) + repr(raised.value.__cause__)
    with pytest.raises(UsageError, match="absolute"):
        DumpRepository(account=ME, config=None, directory=Path("dumps"))


def test_slices_of_pbm_have_the_holes_that_are_in_them() -> None:
    status = parse_status(text("pbm_status.json").encode())
    (found,) = sets_of(status, system_id="rs1")
    assert (found.label, found.kind, found.parent) == ("2026-11-21T01:00:00Z", CopyKind.LOGICAL, None)
    logs = foreign_logs(status, system_id="rs1")
    assert [one.file.name for one in logs] == [
        "2026-11-21T01:00:00Z",
        f"pitr-{AT + 601}-{AT + 1200}",
        f"pitr-{AT + 1260}-{AT + 1800}",
    ]
    assert logs[0].file.end == logs[1].file.start
    rules = [one.rule for one in pbm_problems(status, parse_list(text("pbm_list.json").encode()))]
    assert rules == ["backup.partial_set", "backup.tool_says", "backup.tool_says"]


def test_an_incremental_of_pbm_names_what_it_stands_on() -> None:
    told = json.loads(text("pbm_status.json"))
    base = {**told["backups"]["snapshot"][0], "type": "incremental"}
    later = {**base, "name": "2026-11-21T02:00:00Z", "src": base["name"], "restoreTo": AT + 4000}
    told["backups"]["snapshot"] = [later, base]
    found = sets_of(parse_status(json.dumps(told).encode()), system_id="rs1")
    assert [(one.kind, one.parent) for one in found] == [(CopyKind.FULL, None), (CopyKind.INCREMENTAL, base["name"])]
    assert backup_words(CopyKind.INCREMENTAL, has_base=True) == ["backup", "--wait", "--type=incremental"]
    with pytest.raises(Unsupported):
        backup_words(CopyKind.DIFFERENTIAL, has_base=True)


@pytest.mark.parametrize("name", ["x", "2026-11-21T01:00:00Z\n\x1b[2J", ""])
def test_a_name_that_pbm_never_gives_is_told_and_not_shown_raw(name: str) -> None:
    told = json.loads(text("pbm_status.json"))
    told["backups"]["snapshot"][0]["name"] = name
    with pytest.raises(ProgramFailed) as raised:
        sets_of(parse_status(json.dumps(told).encode()), system_id="rs1")
    assert "\x1b" not in str(raised.value)
    assert "\n" not in raised.value.message


@given(st.integers(0, len(text("pbm_status.json").rstrip()) - 1))
def test_a_status_that_is_cut_off_is_an_error(end: int) -> None:
    with pytest.raises(ProgramFailed):
        parse_status(text("pbm_status.json")[:end].encode())


def test_a_cluster_without_slices_is_told() -> None:
    status = parse_status(b'{"backups": {"snapshot": null}, "pitr": {"conf": false}}')
    assert sets_of(status, system_id="x") == ()
    (told,) = pbm_problems(status, parse_list(b'{"snapshots": null, "pitr": {"on": false, "ranges": null}}'))
    assert told.rule == "backup.no_archived_log"


async def test_pbm_gets_its_connection_by_the_environment(tmp_path, monkeypatch) -> None:
    answers = [
        ("status -o json", text("pbm_status.json"), 0),
        ("list -o json", text("pbm_list.json"), 0),
        ("version -o json", '{"Version":"2.10.0","GitCommit":"x"}', 0),
    ]
    program = Program(tmp_path / "bin", "pbm", answers)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    config = private(tmp_path / "m.yaml", "uri: mongodb://u:hush@db1/?replicaSet=rs1\n")
    repository = open_repository("mongodb", account=ME, config=config, stanza="pbm")
    assert isinstance(repository, PbmRepository)
    facts = await repository.look()
    assert (facts.tool.version, facts.sets[0].system_id) == ("2.10.0", "rs1")
    opinion = form_opinion(
        facts, Seen(repository="p", cluster="p", engine="mongodb", is_proved=False, now=datetime(2026, 11, 21, 2, tzinfo=UTC))
    )
    assert [(one.start.text, one.end.text) for one in opinion.holes] == [(f"{AT + 1201}:0", f"{AT + 1260}:0")]
    assert not opinion.is_sound
    for one in program.calls:
        assert "hush" not in " ".join(one["argv"])
        assert one["environment"]["PBM_MONGODB_URI"].endswith("replicaSet=rs1")
    assert not (await repository.verify()).is_good


async def test_a_dump_is_made_only_of_a_replica_set_and_listed_only_when_it_is_whole(tmp_path, monkeypatch) -> None:
    root, home = tmp_path / "dumps", tmp_path / "bin"
    root.mkdir()
    Program(home, "mongosh", [("connect(", '{"setName":"rs1","msg":null,"isShard":false,"version":"7.0.14"}\n', 0)])
    dump = Program(home, "mongodump", [("--oplog", "", 0)])
    monkeypatch.setenv("PATH", str(home), prepend=":")
    config = private(tmp_path / "m.yaml", "uri: mongodb://u:hush@db1/?replicaSet=rs1\n")

    async def progress(done: int, total: int | None) -> None:
        assert (done, total) == (0, None)

    repository = DumpRepository(account=ME, config=config, directory=root)
    with pytest.raises(ProgramFailed, match="of no one moment"):
        await repository.backup(CopyKind.LOGICAL, progress)  # a mongodump that wrote nothing and ended with 0
    assert (await repository.look()).sets == ()
    assert "hush" not in " ".join(dump.calls[0]["argv"])
    Program(home, "mongosh", [("connect(", '{"setName":null,"msg":"isdbgrid","isShard":false,"version":"7.0.14"}\n', 0)])
    with pytest.raises(Unsupported, match="sharded cluster"):
        await repository.backup(CopyKind.LOGICAL, progress)
    assert len(dump.calls) == 1
