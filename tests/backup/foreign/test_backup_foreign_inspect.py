"""``dbre backup inspect`` on real repositories, and on ones that their own checks call good."""

import gzip
import json
from pathlib import Path

import foreign_kit as kit
import pytest

pytestmark = pytest.mark.timeout(300)  # a busy machine needs minutes for the repositories of all tests


async def test_a_good_repository_of_pgbackrest_has_no_hole_and_one_interval(foreign: kit.Foreign) -> None:
    status, found = await foreign.inspect("pgbackrest")
    assert (status, found["is_sound"], found["holes"], found["problems"]) == (0, True, [], [])
    assert [one["is_usable"] for one in found["sets"]] == [True, True, True]
    [interval] = found["intervals"]
    assert interval["start"] == found["sets"][0]["stop"]
    assert interval["end"] == found["sets"][2]["reaches"] == found["exposure"]["until"]
    assert found["exposure"]["bytes"] is None
    assert "--cluster" in found["exposure"]["reason_unknown"]
    assert found["restore"]["forecast_seconds"] is None  # nothing was measured: no number


async def test_a_good_catalogue_of_barman_has_no_hole_and_one_interval(foreign: kit.Foreign) -> None:
    status, found = await foreign.inspect("barman")
    assert (status, found["is_sound"], found["holes"], found["problems"]) == (0, True, [], [])
    assert len(found["intervals"]) == 1


async def test_a_missing_segment_is_a_hole_where_pgbackrest_says_ok(broken: kit.Foreign) -> None:
    gone = sorted(broken.pgbackrest_log.glob("*-*"))[-2]
    gone.unlink()
    told = broken.run_pgbackrest("--log-level-file=off", "verify", "--output=text", "--verbose")
    assert "status: ok" in told.stdout  # pgBackRest 2.45 sees nothing
    status, found = await broken.inspect("pgbackrest")
    assert (status, found["is_sound"]) == (3, False)
    [hole] = found["holes"]
    number = int(gone.name[16:24], 16)
    assert (hole["start"], hole["end"], hole["files"]) == (f"0/{number:X}000000", f"0/{number + 1:X}000000", 1)
    assert found["exposure"]["until"] == hole["start"]  # what lies behind the hole is worth nothing
    [problem] = found["problems"]
    assert (problem["rule"], problem["is_blocking"]) == ("backup.log_gap", True)


async def test_a_missing_segment_is_a_hole_where_barman_says_ok(broken: kit.Foreign) -> None:
    gone = sorted(broken.barman_log.iterdir())[-2]
    gone.unlink()
    assert kit.complaints(broken) == []
    assert broken.run_barman("check-backup", kit.STANZA, "latest").returncode == 0
    status, found = await broken.inspect("barman")
    assert status == 3
    [hole] = found["holes"]
    assert hole["start"] == f"0/{int(gone.name[16:24], 16):X}000000"


async def test_a_set_without_the_log_of_its_own_copy_cannot_be_restored_from(broken: kit.Foreign) -> None:
    _, before = await broken.inspect("pgbackrest")
    needed = before["sets"][2]["start"]
    number = int(needed.split("/")[1], 16) >> 24
    [gone] = broken.pgbackrest_log.glob(f"00000001{number:016X}-*")
    gone.unlink()
    status, found = await broken.inspect("pgbackrest")
    assert status == 3
    assert [one["is_usable"] for one in found["sets"]] == [True, True, False]
    assert "needed up to" in found["sets"][2]["problem"]
    assert {one["rule"] for one in found["problems"]} == {"backup.set_unusable", "backup.log_gap"}
    assert found["restore"]["sets"] == [one["label"] for one in found["sets"][:2]]  # the older ones are what is left


async def test_an_unknown_tool_is_a_usage_error_that_says_what_was_meant(foreign: kit.Foreign) -> None:
    with pytest.raises(AssertionError, match="did you mean pgbackrest"):
        await foreign.inspect("pgbackrst")


@pytest.mark.slow
async def test_a_drill_restores_a_repository_of_pgbackrest_to_its_last_change(foreign: kit.Foreign) -> None:
    status, found = await foreign.inspect("pgbackrest", "--drill", "--directory", foreign.home.parent / "drill-pgbackrest")
    assert (status, found["drill"]["verdict"]) == (0, "pass"), found["drill"]
    assert found["drill"]["is_jailed"] is True
    assert {"fetch", "fetch_log", "scan", "replay"} <= {one["name"] for one in found["drill"]["phases"]}
    assert not (foreign.home.parent / "drill-pgbackrest").exists()


@pytest.mark.slow
async def test_a_drill_restores_a_catalogue_of_barman_to_its_last_change(foreign: kit.Foreign) -> None:
    status, found = await foreign.inspect("barman", "--drill", "--directory", foreign.home.parent / "drill-barman")
    assert (status, found["drill"]["verdict"]) == (0, "pass"), found["drill"]


async def test_a_drill_of_a_damaged_segment_fails_and_names_it(broken: kit.Foreign) -> None:
    path = max(broken.pgbackrest_log.glob("*-*"))
    path.write_bytes(gzip.compress(b"\0" * 16 * 2**20))
    status, found = await broken.inspect("pgbackrest", "--drill", "--directory", broken.home.parent / "drill-damaged")
    assert (status, found["drill"]["verdict"]) == (3, "fail"), found["drill"]
    assert "SHA-1" in found["drill"]["reason"]


@pytest.mark.slow
async def test_verification_reads_every_record_where_barmans_own_checks_read_none(broken: kit.Foreign) -> None:
    path = sorted(broken.barman_log.iterdir())[-2]
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[70] ^= 0x10  # within the first record; packed again, so that gzip sees nothing wrong
    path.write_bytes(gzip.compress(bytes(content), mtime=0))
    assert kit.complaints(broken) == []
    assert broken.run_barman("check-backup", kit.STANZA, "latest").returncode == 0
    status, found = await broken.inspect("barman", "--verify")
    assert status == 3
    assert found["holes"] == []
    [fault] = found["verified"]["faults"]
    assert fault["rule"] == "log_damaged"
    assert f"0/{int(path.name[16:24], 16):X}000028" in fault["detail"]


async def test_what_would_be_lost_now_is_measured_against_the_server_of_the_inventory(
    foreign: kit.Foreign, tmp_path: Path
) -> None:
    foreign.write_inventory(tmp_path)
    status, found = await foreign.dbre("inspect", "old", directory=tmp_path)
    assert (status, found["cluster"]) == (0, "shop-db")
    [(server,)] = await foreign.sql("SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint")
    high, low = found["exposure"]["until"].split("/")
    assert 0 <= found["exposure"]["bytes"] <= server - ((int(high, 16) << 32) + int(low, 16))
    assert found["exposure"]["server"]
    assert found["exposure"]["seconds"] is None  # nobody sampled: unknown, never 0


@pytest.mark.slow
async def test_a_drill_is_recorded_and_what_a_killed_one_left_is_removed(foreign: kit.Foreign) -> None:
    home = foreign.site.make_directory(foreign.home.parent / "recorded", mode=0o711)
    foreign.write_inventory(home)
    assert kit.dbre("db", "migrate", directory=home).returncode == 0
    words = ("inspect", "old", "--drill", "--directory", str(home / "here"))
    child = kit.start_dbre("backup", *words, directory=home)
    left: list[Path] = []

    def restores() -> bool:
        left[:] = [one.parent for one in home.glob(".here.dbre-*/data") if any(one.iterdir())]
        return bool(left)

    await kit.until(restores, "files of the restore")
    child.kill()
    child.wait()
    assert left[0].exists()
    status, found = await foreign.dbre(*words, directory=home)
    assert (status, found["drill"]["verdict"]) == (0, "pass"), found["drill"]
    assert list(home.glob(".here.dbre-*")) == []
    assert {one["level"] for one in found["drill"]["results"]} >= {"L0", "L2", "L3", "L4"}
    recorded = found["drill"]["recorded"]
    assert recorded["verdict"] == "inconclusive"  # nothing was compared: no canary, no query
    told = kit.dbre("backup", "drills", "-o", "json", directory=home)
    [item] = json.loads(told.stdout)["items"]
    assert (item["id"], item["cluster"], item["set_id"]) == (recorded["id"], "shop-db", found["drill"]["set"])
