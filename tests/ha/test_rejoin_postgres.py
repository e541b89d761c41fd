"""A former PostgreSQL primary follows again, whatever its history is; what only it had is in a file."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rejoin_kit import Rejoiner, diverge, entries, forkable, ground_of, receives, results, run

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.programs.errors import BinariesMissing
from dbre.core.store import Store, open_store
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def leave_recovery(data: Path) -> None:
    """What a recovery to two targets, one after the other, left long ago: no start would get over it."""
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("recovery_target_lsn = '0/1'\nrecovery_target_xid = '1'\nrecovery_target_action = 'shutdown'\n")
    (data / "recovery.signal").touch()


@pytest.mark.parametrize("version", [15, pytest.param(16, marks=pytest.mark.soak), pytest.param(18, marks=pytest.mark.soak)])
async def test_a_diverged_primary_is_rewound_and_its_lost_writes_are_kept(
    lab_site: Site, store: Store, tmp_path: Path, version: int
) -> None:
    try:
        async with forkable(lab_site, f"rew{version}", version=version) as pair:
            old, new = pair.primary, pair.replica
            await diverge(old, new, rows=3)
            leave_recovery(old.data_directory)
            ours = (old.data_directory / "postgresql.conf").read_text()
            rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")

            plan = await rejoiner.plan()
            assert [one.name for one in plan.steps] == ["prepare", "stop", "evidence", "align", "start", "settle"]
            assert any("it has what the primary does not, from " in (one.before or "") for one in plan.changes)

            record = await rejoiner.rejoin()
            assert record.state is OperationState.SUCCEEDED, record.error
            found = results(record)
            assert found["align"]["way"] == "rewind"
            assert found["evidence"]["transactions"] == 1
            file = Path(found["evidence"]["file"])
            assert file.stat().st_mode & 0o777 == 0o600
            head, *rows = map(json.loads, file.read_text().splitlines())
            assert head["fork"] == found["evidence"]["fork"]
            assert sorted(one["row"]["entry"] for one in rows) == ["lost 1", "lost 2", "lost 3"]

            await receives(old, 2)
            assert await entries(old) == ["after", "before"]
            assert (old.data_directory / "postgresql.conf").read_text() == ours
            assert not list(old.data_directory.parent.glob(".*.dbre-rejoin"))
            with pytest.raises(PrecheckFailed, match="n1 follows n2 already"):
                await rejoiner.plan()
            again = await rejoiner.rejoin(clone=True)
            assert again.state is OperationState.SUCCEEDED, again.error
            assert results(again)["align"]["way"] == "clone"
            await receives(old, 2)
            assert (old.data_directory / "postgresql.conf").read_text() == ours
            assert await run(old, "SHOW cluster_name") == [(old.name,)]
    except BinariesMissing as error:
        leave_out(error)


async def test_one_with_the_same_history_is_started_as_it_is(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "same") as pair:
        old, new = pair.primary, pair.replica
        await old.stop()  # in order: everything is there
        await run(new, "SELECT pg_promote(true, 60)", "INSERT INTO ledger VALUES ('after')")
        leave_recovery(old.data_directory)
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")
        ours = (old.data_directory / "postgresql.conf").read_text()
        (old.data_directory / "targets.conf").write_text("recovery_target_xid = '7'\nrecovery_target_action = 'promote'\n")
        with (old.data_directory / "postgresql.conf").open("a") as file:
            file.write("include 'targets.conf'\n")
        with pytest.raises(PrecheckFailed, match=r"would start, and not follow: recovery_target_xid in postgresql\.conf"):
            await rejoiner.plan()
        (old.data_directory / "postgresql.conf").write_text(ours)
        plan = await rejoiner.plan()
        assert [one for one in plan.warnings if "recovery.signal" in one and "recovery_target_lsn" in one]
        record = await rejoiner.rejoin()
        assert record.state is OperationState.SUCCEEDED, record.error
        assert results(record)["align"]["way"] == "nothing"
        assert results(record)["evidence"] == {"relation": "same", "file": None, "transactions": 0}
        await receives(old, 2)
        assert await entries(old) == ["after", "before"]


@pytest.mark.soak
async def test_what_cannot_be_rewound_is_copied_anew(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "hints", wal_log_hints="off") as pair:
        ((checksums,),) = await run(pair.primary, "SHOW data_checksums")
        old, new = pair.primary, pair.replica
        await diverge(old, new)
        await run(new, "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
        rejoiner = Rejoiner(store=store, ground=ground_of(pair, tmp_path, lab_site), lease="60s")
        plan = await rejoiner.plan()
        why = "full_page_writes is off on the primary" if checksums == "on" else "neither data checksums nor wal_log_hints"
        assert [one for one in plan.warnings if why in one]
        record = await rejoiner.rejoin()
        assert record.state is OperationState.SUCCEEDED, record.error
        assert results(record)["align"]["way"] == "clone"
        assert results(record)["evidence"]["transactions"] == 1
        await receives(old, 2)
        assert await entries(old) == ["after", "before"]


async def test_who_must_not_rejoin(lab_site: Site, store: Store, tmp_path: Path) -> None:
    async with forkable(lab_site, "not") as pair:
        old, new = pair.primary, pair.replica
        ground = ground_of(pair, tmp_path, lab_site, limits={"give_up": "1s"})
        rejoiner = Rejoiner(store=store, ground=ground)
        with pytest.raises(PrecheckFailed, match="n1 is the primary of shop itself"):
            await rejoiner.plan("n1")
        with pytest.raises(PrecheckFailed, match="n2 follows n1 already"):
            await rejoiner.plan("n2")
        await run(new, "SELECT pg_promote(true, 60)")  # two take writes
        with pytest.raises(PrecheckFailed, match="n2 is on the newer timeline, 2") as refusal:
            await rejoiner.plan("n2")
        assert refusal.value.hint == "it is the other one that must follow: dbre ha rejoin shop n1"
        await run(old, "INSERT INTO ledger VALUES ('lost')")
        plan = await rejoiner.plan("n1")
        assert any("takes writes besides n2" in one for one in plan.warnings)
        async with await old.connect() as frozen:  # such a process obeys SIGKILL alone
            os.kill(frozen.info.backend_pid, signal.SIGSTOP)
            record = await rejoiner.rejoin("n1")
        assert record.state is OperationState.SUCCEEDED, record.error
        assert results(record)["stop"] == {"was_running": True, "how": "killed"}
        assert results(record)["evidence"]["transactions"] == 1
        await receives(old, 2)
        assert await entries(old) == ["before"]
