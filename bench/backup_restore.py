"""A full copy, an increment and a verified restore by dbre, pgBackRest and Barman: one server, the same data, one run.

Run: ``.venv/bin/python bench/backup_restore.py [MEGABYTES]`` (default 500, made by pgbench). PostgreSQL 15 of Debian is copied
by all three, one after the other: dbre copies, compares every file with its SHA-256 and stores into an encrypted vault;
pgBackRest has two processes, zstd at the same level and AES; Barman neither compresses nor encrypts. Then pgbench writes log,
and each restores up to its end: fetched, verified, booted, replayed, first query. Barman compares nothing when it recovers,
so ``pg_verifybackup`` is counted with it. dbre also reads the CRC of every record of log before it replays. The increment of
dbre is PostgreSQL 18's own, of a second server with the same data and the same writes; pgBackRest's is of the first.

The limit: a restore by dbre takes at most 1.5 times that of pgBackRest.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psycopg
from kit.backup_scene import CLUSTER, DEBIAN, VAULT, Scene, Stopwatch, backup_scene
from kit.foreign_tools import STANZA, Foreign, archive_settings, configure, end, make_ready
from kit.report import report

from dbre.capabilities.backup.restoring.recovering import recovering
from dbre.capabilities.backup.restoring.request import Asked, plan_over
from dbre.capabilities.backup.vault.opening import open_vaults
from dbre.core.clock import SystemClock
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site
from dbre.ports.backup.model import RecoveryTarget, TargetKind

GOAL_RATIO = 1.5
_CLIENTS = "4"
_NOT_COPIED = (  # what Barman changes or adds when it recovers
    "postgresql.auto.conf",
    "postgresql.conf",
    "postgresql.auto.conf.origin",
    "postgresql.conf.origin",
    "recovery.signal",
    "pg_hba.conf",
    "pg_ident.conf",
    "barman_wal",
    ".barman-recover.info",
)


async def write_log(scene: Scene, transactions: int) -> None:
    """The same transactions for every server: their random numbers have a seed."""
    await scene.run(
        DEBIAN / "pgbench", "-n", "-c", _CLIENTS, "-t", str(transactions // int(_CLIENTS)), "--random-seed=7", "-M", "prepared"
    )  # fmt: skip


async def restore(scene: Scene, watch: Stopwatch) -> int:
    """To the end of the log from the vault alone; how many rows pgbench's history has."""
    asked = Asked(cluster=CLUSTER, target=RecoveryTarget(kind=TargetKind.LATEST))
    began = time.perf_counter()
    async with open_vaults(scene.ground, (VAULT,)) as vaults:
        plan = plan_over(scene.ground, await vaults[0].catalog(CLUSTER), (), asked, SystemClock())
        directory = scene.root / "restored"
        async with recovering(scene.ground, plan, vaults=vaults, directory=directory, stays_at_target=False) as found:
            access = found.server.access
            connection = await psycopg.AsyncConnection.connect(
                host=access.address.host, port=access.address.port, user=access.user, dbname="postgres"
            )
            async with connection:
                cursor = await connection.execute(b"SELECT count(*) FROM pgbench_history")
                row = await cursor.fetchone()
            watch.seconds["all"] = time.perf_counter() - began
            for phase in found.phases:
                watch.seconds[phase.name] = watch.seconds.get(phase.name, 0.0) + phase.seconds
    print(f"  {watch.whose}: {rounded(watch.seconds)}", file=sys.stderr)
    return int(row[0]) if row else -1


async def restore_foreign(foreign: Foreign, found: dict[str, Stopwatch]) -> dict[str, int]:
    """Both, into new directories."""
    rows = {}
    ours = foreign.scene.site.make_directory(foreign.home / "restored")
    target = foreign.scene.site.make_directory(ours / "pgbackrest")
    watch = found["pgbackrest"]
    with watch("fetch"):
        await foreign.pgbackrest("restore", f"--pg1-path={target}", "--archive-mode=off")
    rows["pgbackrest"] = await foreign.boot(target, watch)
    watch, target = found["barman"], ours / "barman"
    with watch("fetch"):
        await foreign.barman("recover", "--get-wal", STANZA, "latest", target)
    with watch("verify"):
        [manifest] = (foreign.home / "barman" / STANZA / "base").glob("*/data/backup_manifest")
        renamed = (one.name for one in target.glob("backup_manifest.*"))
        ignored = (f"--ignore={name}" for name in (*_NOT_COPIED, *renamed))
        await foreign.run(DEBIAN / "pg_verifybackup", "--no-parse-wal", f"--manifest-path={manifest}", *ignored, target)
    await _use_our_barman(foreign, target)
    rows["barman"] = await foreign.boot(target, watch)
    return rows


async def _use_our_barman(foreign: Foreign, target: Path) -> None:
    """``--get-wal`` writes a command that looks for Barman's configuration in /etc; ours is elsewhere."""
    file = target / "postgresql.auto.conf"
    command = f"barman -c {foreign.home}/barman.conf get-wal -P {STANZA} %f > %p"
    kept = [line for line in file.read_text().splitlines() if not line.startswith("restore_command")]
    foreign.scene.site.write_file(file, "\n".join([*kept, f"restore_command = '{command}'"]) + "\n")


async def three(site: Site, megabytes: int, transactions: int) -> dict[str, object]:
    """Full copies and restores of one PostgreSQL 15 by all three."""
    home = site.make_directory(site.directory / "foreign")
    async with backup_scene(site, version=15, megabytes=megabytes, settings=archive_settings(home)) as scene:
        foreign = await configure(scene, home)
        receiver = await make_ready(foreign)
        try:
            return await _three(scene, foreign, transactions)
        finally:
            end(receiver)


async def _three(scene: Scene, foreign: Foreign, transactions: int) -> dict[str, object]:
    ((size,),) = await scene.query("SELECT sum(pg_database_size(oid))::bigint FROM pg_database")
    took = {name: Stopwatch(name) for name in ("dbre", "pgbackrest", "barman")}
    sealed = await scene.take(took["dbre"])
    with took["pgbackrest"]("backup"):
        await foreign.pgbackrest("backup", "--type=full")
    with took["barman"]("backup"):
        await foreign.barman("backup", STANZA)
    processor = {one: sum(watch.processor.values()) for one, watch in took.items()}
    stored = {"dbre": sealed.bytes_stored or 0, **{name: foreign.bytes_of(name) for name in ("pgbackrest", "barman")}}
    await write_log(scene, transactions)
    ((name, wal),) = await scene.query(
        f"SELECT pg_walfile_name(pg_current_wal_lsn()), (pg_current_wal_lsn() - '{sealed.stop.text}')::bigint"  # type: ignore[union-attr]
    )
    files = await scene.keep_log(took["dbre"])
    await foreign.wait_for_log(str(name))
    back = {one: Stopwatch(f"restore {one}") for one in took}
    rows = {"dbre": await restore(scene, back["dbre"]), **await restore_foreign(foreign, back)}
    with took["pgbackrest"]("increment"):
        await foreign.pgbackrest("backup", "--type=incr")
    full = {
        "dbre": took["dbre"].total("copy", "verify", "store"),
        **{n: took[n].total("backup") for n in ("pgbackrest", "barman")},
    }
    again = {one: watch.seconds.pop("all", 0.0) or sum(watch.seconds.values()) for one, watch in back.items()}
    return {
        "data_mb": round(int(str(size)) / 1e6),
        "wal_mb": round(int(str(wal)) / 1e6),
        "history_rows": rows,
        "full_s": rounded(full),
        "full_cpu_s_of_clients": rounded(processor),
        "full_dbre_s_by_phase": rounded(took["dbre"].seconds),
        "stored_mb": {one: round(count / 1e6) for one, count in stored.items()},
        "put_log_ms_a_file": round(took["dbre"].seconds["put_log"] / files * 1000),
        "increment_pgbackrest_s": round(took["pgbackrest"].seconds["increment"], 2),
        "restore_s": rounded(again),
        "restore_s_by_phase": {one: rounded(watch.seconds) for one, watch in back.items()},
        "full_ratio_to_pgbackrest": round(full["dbre"] / full["pgbackrest"], 2),
        "full_ratio_to_barman": round(full["dbre"] / full["barman"], 2),
        "restore_ratio_to_pgbackrest": round(again["dbre"] / again["pgbackrest"], 2),
        "restore_ratio_to_barman": round(again["dbre"] / again["barman"], 2),
    }


async def increments(site: Site, megabytes: int, transactions: int) -> dict[str, object]:
    """A full copy and an increment after the same writes, both natively by PostgreSQL 18, and a restore of the two."""
    async with backup_scene(site, version=18, megabytes=megabytes, settings={"summarize_wal": "on"}) as scene:
        first, second, back = Stopwatch("18 full"), Stopwatch("18 increment"), Stopwatch("18 restore")
        full = await scene.take(first)
        await write_log(scene, transactions)
        part = await scene.take(second, parent=full)
        await scene.keep_log(Stopwatch())
        await restore(scene, back)
        whole = back.seconds.pop("all")
        return {
            "pg18_full_s": rounded(first.seconds),
            "pg18_increment_s": rounded(second.seconds),
            "pg18_increment_stored_ratio": round((part.bytes_stored or 0) / (full.bytes_stored or 1), 2),
            "pg18_increment_source_ratio": round(part.bytes_source / full.bytes_source, 2),
            "pg18_increment_time_ratio": round(sum(second.seconds.values()) / sum(first.seconds.values()), 2),
            "pg18_restore_of_both_s": round(whole, 2),
            "pg18_restore_s_by_phase": rounded(back.seconds),
        }


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Hundredths are enough."""
    return {name: round(value, 2) for name, value in values.items()}


async def run(megabytes: int) -> dict[str, object]:
    """Both servers, one after the other."""
    transactions = megabytes * 40
    found: dict[str, object] = {"bench": "backup_restore", "megabytes": megabytes}
    with temporary_site(prefix="dbre-bench-", parent=tempfile.gettempdir(), durable=True) as site:
        found |= await three(site, megabytes, transactions)
        found |= await increments(site, megabytes, transactions)
    ratio = found["restore_ratio_to_pgbackrest"]
    rows = found["history_rows"]
    is_same = isinstance(rows, dict) and len(set(rows.values())) == 1
    return {**found, "goal_ratio": GOAL_RATIO, "is_ok": isinstance(ratio, float) and ratio <= GOAL_RATIO and is_same}


if __name__ == "__main__":
    sys.exit(report(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 500))))
