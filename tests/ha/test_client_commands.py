"""``dbre ha probe`` and ``dbre ha lost-writes`` as a user types them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ha_live import context, fleet_of

from dbre.assembly_clients import client_ground
from dbre.capabilities.consistency.checking import check_history
from dbre.capabilities.consistency.reading import read_history
from dbre.capabilities.ha.clients.cli import probe
from dbre.capabilities.ha.forks.cli import lost_writes
from dbre.capabilities.ha.forks.extracting import write_lost
from dbre.core.errors import ExitCode, PrecheckFailed, Unreachable, Unsupported, UsageError
from dbre.core.fleet import Cluster
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.ports.forks import ChangeKind, LostChange, LostWrites


def here(engine: str, server: Any, **more: Any) -> Any:
    fleet = fleet_of(engine, {"one": server}, **more)
    found = context(fleet)
    found.obj.clients = client_ground(fleet, found.obj.engines)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("workload", ["bank", "ledger", "list-append", "register", "set"])
async def test_a_healthy_server_keeps_every_promise(postgres15: PostgresServer, tmp_path: Path, workload: str) -> None:
    history = tmp_path / "history.jsonl"
    ctx = here("postgresql", postgres15, database="postgres")
    view = await probe(ctx, "shop", duration="1s", rate=80.0, workload=workload, history=history, mode="closed")
    (found,) = view.items
    assert (view.exit_code, found["verdict"], found["unknown"], found["warnings"]) == (ExitCode.OK, "ok", 0, [])
    assert found["acknowledged"] > 20
    assert [one["node"] for one in found["nodes"]] == ["one"]
    assert found["outage"]["seconds"] > 0
    assert "ok: " in (view.text or "")
    with history.open("rb") as file:
        report = check_history(read_history(file), workload=workload)
    assert (report.verdict.value, report.workload) == ("ok", workload)


@pytest.mark.slow
async def test_what_a_planted_anomaly_looks_like(redis_server: RedisServer, tmp_path: Path) -> None:
    """Somebody deletes an acknowledged write: the checker says which."""
    ctx = here("redis", redis_server)
    history = tmp_path / "h.jsonl"
    view = await probe(ctx, "shop", duration="1s", history=history)
    assert view.exit_code == ExitCode.OK
    lines = history.read_text().splitlines()
    last = json.loads(lines[-1])
    gone = last["value"].pop()
    doubled = last["value"][0]
    last["value"].append(doubled)
    history.write_text("\n".join([*lines[:-1], json.dumps(last)]) + "\n")
    verdict = ctx.obj.clients.check(history, workload="ledger", model="single-primary")
    assert {one.name: one.count for one in verdict.anomalies} == {"lost": 1, "duplicate": 1}
    assert any(str(gone) in line for one in verdict.anomalies for line in one.proof)


@pytest.mark.slow
async def test_what_clients_refuse(postgres15: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> None:
    ctx = here("postgresql", postgres15, database="postgres")
    taken = tmp_path / "taken.jsonl"
    taken.touch()
    for words, error in (
        ({"mode": "opn"}, "did you mean open"),
        ({"workload": "ledgr"}, "did you mean ledger"),
        ({"rate": 0.0}, "a rate of 0"),
        ({"rate": float("nan")}, "a rate of nan"),
        ({"clients": 65}, "65 client processes"),
        ({"netns": ["../x"]}, "no name of a network namespace"),
        ({"netns": ["a", "a"]}, "named twice"),
        ({"netns": ["nowhere"]}, "no network namespace 'nowhere'"),
        ({"objective": 100.0}, "lies between 0 and 100"),
        ({"isolation": "none"}, "no isolation level"),
        ({"address": ["nowhere:0"]}, "port 0"),
        ({"duration": "0s"}, "no time at all"),
    ):
        with pytest.raises(UsageError) as refused:
            await probe(ctx, "shop", history=tmp_path / "never.jsonl", **words)
        assert error in f"{refused.value.message} {refused.value.hint}"
    with pytest.raises(PrecheckFailed, match="cannot be made"):
        await probe(ctx, "shop", duration="1s", history=taken)
    with pytest.raises(Unsupported, match="no workload bank"):
        await probe(here("redis", redis_server), "shop", workload="bank", history=tmp_path / "never.jsonl")
    with pytest.raises(Unreachable, match="takes writes"):
        await probe(ctx, "shop", address=["127.0.0.1:1"], history=tmp_path / "never.jsonl")
    assert [one.name for one in tmp_path.iterdir()] == ["taken.jsonl"]


def change(number: int, row: str | None, **more: Any) -> LostChange:
    given: dict[str, Any] = {"kind": ChangeKind.INSERT, "schema": "public", "table": "o", "before": None, **more}
    at = datetime(2026, 11, 21, 12, 0, number, tzinfo=UTC)
    return LostChange(transaction=700 + number, committed_at=at, position=f"0/{number}", database="shop", row=row, **given)


def test_rows_are_written_as_the_server_wrote_them(tmp_path: Path) -> None:
    changes = [
        change(1, '{"price":0.12345678901234567890123,\n "note":"a\\nb"}'),
        change(2, None, kind=ChangeKind.DELETE, before='{"id":1}', table='evil"\n'),
    ]
    found = LostWrites(system_id="7", timeline=1, fork="0/1", end="0/9", transactions=2, changes=changes, notes=["n"])
    file = write_lost(found, tmp_path / "lost.jsonl", cluster="shop")
    assert (file.path.stat().st_mode & 0o777, file.changes) == (0o600, 2)
    lines = file.path.read_text().splitlines()
    head, first, second = (json.loads(line, parse_float=str) for line in lines)
    assert (head["fork"], head["changes"], head["notes"]) == ("0/1", 2, ["n"])
    assert (first["row"]["price"], first["row"]["note"]) == ("0.12345678901234567890123", "a\nb")
    assert (second["row"], second["before"], second["table"]) == (None, {"id": 1}, 'evil"\n')
    with pytest.raises(PrecheckFailed, match="cannot be made"):
        write_lost(found, tmp_path / "lost.jsonl", cluster="shop")


@pytest.mark.slow
async def test_whose_lost_writes(postgres15: PostgresServer, redis_server: RedisServer, tmp_path: Path) -> None:
    ctx, file = here("postgresql", postgres15, database="postgres"), tmp_path / "lost.jsonl"
    with pytest.raises(UsageError, match="nobody says which data directory"):
        await lost_writes(ctx, "shop", file=file)
    with pytest.raises(UsageError, match="no instance 'on'") as near:
        await lost_writes(ctx, "shop", file=file, instance="on")
    assert near.value.hint == "did you mean one?"
    with pytest.raises(UsageError, match="is no data directory"):
        await lost_writes(ctx, "shop", file=file, data_directory=tmp_path)
    with pytest.raises(PrecheckFailed, match="0 instances of shop are the primary"):
        await lost_writes(ctx, "shop", file=file, instance="one", data_directory=postgres15.data_directory)
    with pytest.raises(PrecheckFailed, match="a server runs in"):
        await lost_writes(ctx, "shop", file=file, data_directory=postgres15.data_directory)
    with pytest.raises(Unsupported, match="PostgreSQL alone"):
        await lost_writes(here("redis", redis_server), "shop", file=file)
    assert isinstance(ctx.obj.fleet.clusters[0], Cluster)
    assert not file.exists()
