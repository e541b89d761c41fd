"""A switchover by Patroni behind a PgBouncer: how long clients wait in it, and whether one of them sees an error.

Run: ``.venv/bin/python bench/switchover_pooled.py [ROUNDS]`` (default 6). A lab of three PostgreSQL servers under Patroni,
with a PgBouncer as the route of its configuration; ``dbre ha switchover`` as a user types it; four clients commit row after
row. The stall is the longest time between two acknowledgements of one client while the primary changes.
"""

import asyncio
import os
import sys
import time
from itertools import pairwise
from pathlib import Path

import psycopg
import yaml
from kit.reaper import reaping
from kit.report import report
from kit.step_times import step_milliseconds
from kit.two_servers import quantile

from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.temporary_site import temporary_site

NAME = f"bench-swp-{os.getpid()}"
GOAL_SECONDS = 3.5
_CLIENTS = 4
_SETTLE_SECONDS = 3.0


class Client:
    """Commits row after row; keeps when each was acknowledged, and every error."""

    def __init__(self, number: int, conninfo: str) -> None:
        self.number, self.conninfo = number, conninfo
        self.moments: list[float] = []
        self.errors: list[str] = []

    async def write(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self.conninfo, autocommit=True, prepare_threshold=None
                ) as connection:
                    while True:
                        row = (self.number, len(self.moments))
                        await connection.execute("INSERT INTO bench_ledger VALUES (%s, %s)", row)
                        self.moments.append(time.time())
            except psycopg.Error as error:
                self.errors.append(str(error))
                await asyncio.sleep(0.05)


async def main() -> int:
    """Rounds from node to node, and what the clients saw."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    lab = await Lab.create(LabSpec(name=NAME, engine=LabEngine.POSTGRESQL, replicas=2, patroni="lan-fast"))
    try:
        with temporary_site(prefix="dbre-bench-pooled-") as site:
            load = lab.load_target()
            pooler = PgBouncerServer(
                "pooler", site, program=find_pgbouncer(account=site.account),
                databases={str(load.database): lab.primary.address}, users={load.user: load.password},
            )  # fmt: skip
            await pooler.start()
            try:
                return report(await measure(lab, pooler, rounds))
            finally:
                await pooler.stop()
    finally:
        await lab.down()


def add_route(config: Path, pooler: PgBouncerServer, database: str) -> None:
    """As a user would write it."""
    document = yaml.safe_load(config.read_text())
    secret = pooler.data_directory / "console"
    secret.write_text(pooler.password.reveal())
    secret.chmod(0o600)
    address = f"{pooler.address.host}:{pooler.address.port}"
    route = {
        "address": address,
        "user": pooler.superuser,
        "password": f"file:{secret}",
        "databases": [database],
        "databases_file": str(pooler.databases_file),
    }
    document["ha"]["clusters"][0]["routes"] = [{"name": "pool", "pgbouncer": route}]
    config.write_text(yaml.safe_dump(document))


async def measure(lab: Lab, pooler: PgBouncerServer, rounds: int) -> dict[str, object]:
    """The longest stall of each change, errors, and rows that are missing."""
    load = lab.load_target()
    database = str(load.database)
    add_route(lab.config_file, pooler, database)
    conninfo = pooler.conninfo(database=database, user=load.user)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        await connection.execute("CREATE TABLE bench_ledger (client int, number bigint)")
    clients = [Client(number, conninfo) for number in range(_CLIENTS)]
    writing = [asyncio.create_task(one.write()) for one in clients]
    ourselves = Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    windows = []
    for _ in range(rounds):
        await asyncio.sleep(_SETTLE_SECONDS)
        began = time.time()
        words = [sys.executable, "-P", "-m", "dbre", "-c", str(lab.config_file)]
        words += ["ha", "switchover", NAME, "--yes", "--confirm", NAME]
        await run(words, account=ourselves, directory=lab.config_file.parent, timeout_seconds=600.0)
        windows.append((began, time.time()))
    await asyncio.sleep(_SETTLE_SECONDS)
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        rows = await (await connection.execute("SELECT client, number FROM bench_ledger")).fetchall()
    acknowledged = {(one.number, place) for one in clients for place in range(len(one.moments))}
    stalls = [stall(clients, began, ended) for began, ended in windows]
    errors = [text for one in clients for text in one.errors]
    return {
        "server": lab.primary.version_text,
        "rounds": rounds,
        "stall_p50_s": round(quantile(stalls, 0.5), 2),
        "stall_max_s": round(max(stalls), 2),
        "stalls_s": [round(one, 2) for one in stalls],
        "acknowledged": len(acknowledged),
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
        "lost": len(acknowledged - set(rows)),
        "step_p50_ms": await step_milliseconds(lab.config_file.parent / "dbre.db", "ha.switchover"),
        "load": round(os.getloadavg()[0], 1),
        "is_ok": not errors and acknowledged <= set(rows) and quantile(stalls, 0.5) < GOAL_SECONDS,
    }


def stall(clients: list[Client], began: float, ended: float) -> float:
    """The longest that one of them waited while the primary changed."""
    pairs = [pair for one in clients for pair in pairwise(one.moments)]
    return max(later - one for one, later in pairs if began <= later and one <= ended)


if __name__ == "__main__":
    with reaping():  # Patroni waits until init has taken up the PostgreSQL that it stopped
        status = asyncio.run(main())
    sys.exit(status)
